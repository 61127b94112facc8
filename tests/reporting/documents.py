"""The documents of the made-up run, computed from its scores."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from distillery.filters.filter import Filter

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


def calibrated() -> dict[str, Any]:
    """A calibration's outputs: PASS on both samples."""

    def share(wrong: int, n: int, low: float, high: float) -> dict[str, Any]:
        return {"wrong": wrong, "n": n, "share": wrong / n, "interval": [low, high]}

    first = {"off_topic_high": share(2, 85, 0.0065, 0.0818), "on_topic_low": share(1, 24, 0.0074, 0.2024)}
    fresh = {"off_topic_high": share(0, 87, 0.0, 0.0423), "on_topic_low": share(0, 18, 0.0, 0.1759)}
    return {
        "verdict": "PASS",
        "usable": True,
        "accepted": None,
        "reasons": [],
        "marks": {"by": "person", "digest": digest("marks"), "on": 42, "off": 172},
        "figures": {
            "calibration": {"verdict": "PASS", "n": 120, **first},
            "fresh": {"verdict": "PASS", "n": 119, **fresh},
            "redundancy": {"n": 67, "over": "articles not marked off-topic", "pc1_share": 0.58, "pairs": []},
        },
    }


def benchmark_of(
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
        "noise": {
            "mae": 0.3102,
            "interval": [0.274, 0.349],
            "overall_mae": 0.171,
            "n": 50,
            "repeat": 3,
            "difference": mae - 0.3102,
            "dimensions": {name: 0.27 + 0.02 * i for i, name in enumerate(names)},
            "second": {
                "model": "another-model",
                "n": 50,
                "mae": 0.61,
                "bias": 0.22,
                "dimensions": {name: {"mae": 0.55 + 0.03 * i, "bias": 0.3 - 0.1 * i} for i, name in enumerate(names)},
            },
        },
        "alarms": [],
    }


def examples_of(
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


def verdict_of(flt: Filter, benchmark: dict[str, Any]) -> dict[str, Any]:
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


def audit_of(rng: Any, names: list[str], labels: Any) -> dict[str, Any]:
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
