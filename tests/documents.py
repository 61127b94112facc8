"""Small whole documents, as steps write them, for tests that change one thing in them."""

from __future__ import annotations

import copy
from typing import Any


def student_json(**changes: Any) -> dict[str, Any]:
    """Return a student.json."""
    document = {
        "format": 1,
        "filter": "demo",
        "dimensions": ["readiness"],
        "base": {"ref": "tiny/base", "revision": None, "digest": "0" * 64, "kind": "encoder", "hidden": 8},
        "maxLength": 48,
        "headTail": None,
        "pooling": "mean",
        "preprocessing": {"maxLength": 48},
        "lora": {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"},
        "training": {"epochs": 1, "precision": "fp32"},
        "split": "0" * 64,
        "trainable_parameters": 1,
        "train_mae": 0.5,
        "validation_mae": 0.6,
        "label_variance": 4.0,
        "steps": 1,
        "tokens": 1,
        "alarms": [],
    }
    return document | changes


def curves_json(**changes: Any) -> dict[str, Any]:
    """Return a calibration.json without curves."""
    return {"kept": False, "dimensions": {}, "validation_mae_raw": 0.65, "validation_mae_calibrated": 0.7} | changes


def benchmark_json(**changes: Any) -> dict[str, Any]:
    """Return a benchmark.json of one dimension and two tiers."""
    tier = {
        "recall": 0.8,
        "precision": 0.8,
        "recall_or_better": 0.8,
        "precision_or_better": 0.8,
        "labelled": 50,
        "predicted": 50,
    }
    baseline = {"mae": 1.4, "overall_mae": 1.3, "rmse": 1.6, "tier_agreement": 0.5, "spearman": None, "skill": 0.5}
    document = {
        "filter": "demo",
        "adapter": "a" * 64,
        "test": "b" * 64,
        "n": 100,
        "mae": 0.7,
        "rmse": 0.9,
        "overall_mae": 0.5,
        "overall_rmse": 0.7,
        "bias": 0.0,
        "spearman": 0.8,
        "score_compression": 0.9,
        "tier_agreement": 0.8,
        "train_val_gap": 0.1,
        "val_test_gap": 0.05,
        "train_mae": 0.6,
        "validation_mae": 0.66,
        "dimensions": {"readiness": {"mae": 0.7, "rmse": 0.9, "bias": 0.0, "compression": 0.9, "spearman": 0.8}},
        "tiers": {"high": tier, "low": dict(tier)},
        "confusion": {"tiers": ["high", "low"], "matrix": [[40, 10], [10, 40]]},
        "baselines": {"mean": baseline},
        "intervals": {"mae": [0.65, 0.75]},
        "slices": {"source": [], "language": [], "length": []},
        "calibration": {"kept": False, "validation_mae_raw": 0.66, "validation_mae_calibrated": 0.7},
        "incumbent": None,
        "noise": None,
        "reference": None,
        "examples": {"best": [], "worst": []},
        "alarms": [],
    }
    return copy.deepcopy(document | changes)


def incumbent_json(**changes: Any) -> dict[str, Any]:
    """Return what a benchmark says of an adapter in use."""
    figures = {"mae": 0.75, "overall_mae": 0.55, "difference": -0.05, "interval": [-0.1, 0.02], "seen": 0}
    return {"adapter": "c" * 64, **figures} | changes
