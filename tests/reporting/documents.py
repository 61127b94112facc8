"""The documents of the made-up run, computed from its scores."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

import numpy as np

from distillery.components.artifacts.audit import Audit
from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.document import Document
from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.verdict import Verdict
from distillery.components.reporting.context import Context
from distillery.filters.filter import Filter
from tests.reporting.texts import BODY, SOURCES, TITLES

D = TypeVar("D", bound=Document)

TIERS = ["high", "medium", "low"]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(form: type[D], fields: Any) -> D:
    """Return the document that these JSON values are."""
    return form.read(json.dumps(fields).encode(), "a made-up run")


def changed(document: D, **changes: Any) -> D:
    """Return the document with some of its fields changed; read anew, so that it is one still."""
    return read(type(document), {**json.loads(document.to_bytes()), **changes})


def replaced(value: Any, new: Any, *types: type) -> Any:
    """Return the JSON value with every number of these types replaced."""
    if isinstance(value, dict):
        return {key: replaced(inner, new, *types) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, new, *types) for inner in value]
    return new if isinstance(value, types) and not isinstance(value, bool) else value


def failure(step: str, message: str) -> Failure:
    return Failure(step=step, kind="fault", message=message)


def judged(context: Context) -> Benchmark:
    assert context.benchmark is not None
    return context.benchmark


def rule(**changes: Any) -> dict[str, Any]:
    """A rule that passes."""
    fields = {"metric": "mae", "argument": None, "value": 0.5, "bound": 0.8, "interval": None, "by": "point"}
    return {**fields, "direction": "below", "verdict": "pass", "reason": "", **changes}


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
) -> Benchmark:
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
            "recall_or_better": None,
            "precision_or_better": None,
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

    fields = {
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
                "spearman": None,
                "skill": None,
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
                "provider": "openai",
                "model": "another-model",
                "label_set": digest("second"),
                "overall_mae": None,
                "n": 50,
                "mae": 0.61,
                "bias": 0.22,
                "dimensions": {name: {"mae": 0.55 + 0.03 * i, "bias": 0.3 - 0.1 * i} for i, name in enumerate(names)},
            },
        },
        "examples": examples_of(names, labels, predictions, overall, found, languages, sources),
        "alarms": [],
    }
    return read(Benchmark, fields)


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


def verdict_of(flt: Filter, benchmark: Benchmark) -> Verdict:
    values = {
        "mae": benchmark.mae,
        "dimension_mae": max(row.mae or 0.0 for row in benchmark.dimensions.values()),
        "train_val_gap": benchmark.train_val_gap,
        "val_test_gap": benchmark.val_test_gap,
        "tier_recall": benchmark.tiers["high"].recall,
        "tier_precision": benchmark.tiers["high"].precision,
        "spearman": benchmark.spearman,
        "score_compression": benchmark.score_compression,
        "skill": 1 - (benchmark.mae or 0.0) / (benchmark.baselines["tfidf_ridge"].mae or 1.0),
    }
    ends = {"mae": "mae", "tier_recall": "tiers.high.recall", "tier_precision": "tiers.high.precision", "spearman": "spearman"}
    rules = []
    for gate in flt.spec.gates:
        value, interval = values[gate.metric] or 0.0, benchmark.interval(ends.get(gate.metric, ""))
        judged = value if gate.by == "point" or interval is None else interval[0]
        good = judged < gate.below if gate.below is not None else judged >= (gate.atLeast or 0)
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
                "reason": "" if good else f"{judged:.3f} is not what the gate asks for",
            }
        )
    good = all(rule["verdict"] == "pass" for rule in rules)
    subject = {"filter": flt.name, "adapter": benchmark.adapter, "test": benchmark.test, "benchmark": digest("benchmark")}
    outcome = {"rules": rules, "passed": good, "decision": "promote" if good else "reject"}
    return read(Verdict, {**subject, "policy": digest("policy"), "incumbent": digest("incumbent"), **outcome})


def audit_of(rng: Any, names: list[str], labels: Any) -> Audit:
    drawn = rng.choice(len(labels), 1496)
    correlations = np.corrcoef(labels.T)
    fields = {
        "format": 1,
        "filter": "sustainability-technology",
        "label_set": digest("labels"),
        "overall": {"n": 1496, "missing": 0, "histogram": [], "dead": False},
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
            "examples": [],
            "conflicts": 1,
            "conflict_examples": [],
        },
        "boilerplate": {
            "pages": 22,
            "share": 0.0147,
            "walls": 22,
            "wall_ids": [],
            "dominated": 0,
            "dominated_ids": [],
            "recurs_in": 7,
            "sentences": [],
            "openings": [],
            "sources": [],
        },
        "languages": {
            "disagreements": [],
            "examples": [],
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
    return read(Audit, fields)
