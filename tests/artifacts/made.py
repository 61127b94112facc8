"""Whole documents, for tests that care about a field or two."""

from __future__ import annotations

from typing import Any

from distillery.components.artifacts.folder_meta import Groups, LabelSetMeta, SplitMeta, SplitRows
from distillery.components.artifacts.measurement import Measurement
from distillery.components.artifacts.noise_floor import Floor, NoiseFloor
from distillery.components.artifacts.rubric_calibration import (
    Figures,
    JudgedSample,
    MarkCounts,
    ReasonFigures,
    Redundancy,
    RubricCalibration,
    SampleFigures,
    ShareFigures,
)
from distillery.components.artifacts.serving import Plan


def made_calibration(**fields: Any) -> RubricCalibration:
    share = ShareFigures(wrong=0, n=16, share=0.0, interval=(0.0, 0.19))
    sample = SampleFigures(
        verdict="PASS",
        n=60,
        dead=0,
        off_topic_high=share,
        on_topic_low=share,
        variance={"readiness": 2.0},
        dead_dimensions=[],
        reasons=[ReasonFigures(level="REVIEW", text="look")],
    )
    usual: dict[str, Any] = {
        "code": 1,
        "filter": "demo",
        "rubric": "a" * 64,
        "oracle": "b" * 64,
        "identity": {"provider": "openai", "model": "m"},
        "model": "m",
        "verdict": "PASS",
        "reasons": ["REVIEW: look"],
        "marks": MarkCounts(by="person", digest="c" * 64, on=10, off=16),
        "samples": {"calibration": JudgedSample(sample="d" * 64, label_set="e" * 64)},
        "figures": Figures(calibration=sample, redundancy=Redundancy(n=60, over="all articles", pc1_share=None, pairs=[])),
    }
    return RubricCalibration(**usual | fields)


def made_noise(**fields: Any) -> NoiseFloor:
    floor = Floor(n=50, repeat=3, mae=0.4, interval=(0.35, 0.45), overall_mae=0.3, identical=0.0, dimensions={"readiness": 0.4})
    usual: dict[str, Any] = {
        "code": 1,
        "filter": "demo",
        "rubric": "a" * 64,
        "oracle": "b" * 64,
        "identity": {"provider": "openai", "model": "m"},
        "model": "m",
        "sample": "d" * 64,
        "floor": floor,
        "second": None,
    }
    return NoiseFloor(**usual | fields)


def made_split_meta(**fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "label_set": "e" * 64,
        "policy": {"validation": 0.1, "test": 0.1, "seed": 0, "duplicateJaccard": 0.8},
        "dimensions": ["readiness", "benefit"],
        "rows": SplitRows(train=48, validation=6, test=6, withheld=0, copies=0, conflicting=0),
        "strata": [],
        "frozen": "a" * 64,
        "test": "b" * 64,
        "groups": Groups(articles=60, of_several=0, largest=1),
    }
    return SplitMeta(**usual | fields).to_json()


def made_label_set_meta(**fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "filter": "demo",
        "dimensions": ["readiness", "benefit"],
        "rubric": None,
        "oracle": None,
        "rows": 60,
        "dead": 0,
        "rejected": 0,
    }
    return LabelSetMeta(**usual | fields).to_json()


def made_measurement(**fields: Any) -> Measurement:
    usual: dict[str, Any] = {
        "machine": "made-up processor, 2 threads",
        "plan": Plan(),
        "at": "2026-01-01T00:00:00Z",
        "articles": 100,
        "words": 400.0,
        "articles_per_second": 50.0,
        "alone": 32,
        "latency_ms": 25.0,
        "latency_p95_ms": 40.0,
        "memory_mb": 600,
        "peak_memory_mb": 900,
    }
    return Measurement(**usual | fields)
