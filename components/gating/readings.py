"""Where a gate metric is computed: for each metric, how its value and interval are read in the benchmark.

`filters/metrics.py` says which metrics a gate may name; the figures themselves are computed in `benchmarking/metrics.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from distillery.components.artifacts.benchmark import Benchmark

Span = tuple[float, float] | None


class Reading(NamedTuple):
    """A value with its interval, each None where it is not known. name: the dimension, where a rule looks at several."""

    value: float | None
    interval: Span
    name: str | None = None


def _tier(benchmark: Benchmark, tier: str, figure: str) -> list[Reading]:
    row = benchmark.tiers.get(tier)
    value = None if row is None else row.recall if figure == "recall" else row.precision
    return [Reading(value, benchmark.interval(f"tiers.{tier}.{figure}"))]


def _dimension(benchmark: Benchmark, dimension: str, figure: str) -> list[Reading]:
    """Return the reading of one dimension, or of each where the gate names none."""
    readings = []
    for name in [dimension] if dimension else sorted(benchmark.dimensions):
        row = benchmark.dimensions.get(name)
        value = None if row is None else row.mae if figure == "mae" else row.spearman
        readings.append(Reading(value, benchmark.interval(f"dimensions.{name}.{figure}"), None if dimension else name))
    return readings


def _skill(benchmark: Benchmark, baseline: str) -> list[Reading]:
    row = benchmark.baselines.get(baseline)
    value = None
    if benchmark.mae is not None and row is not None and row.mae:
        value = 1 - benchmark.mae / row.mae
    if value is not None and not math.isfinite(value):  # of an error beyond all bounds
        value = None
    return [Reading(value, benchmark.interval(f"baselines.{baseline}.skill"))]


def _size_of_bias(benchmark: Benchmark) -> list[Reading]:
    """Return the size of the bias; its interval reaches down to 0 where that of the bias contains 0."""
    span = benchmark.interval("bias")
    if span is not None:
        ends = sorted(map(abs, span))
        span = (0.0 if span[0] <= 0 <= span[1] else ends[0], ends[1])
    return [Reading(None if benchmark.bias is None else abs(benchmark.bias), span)]


def _against_incumbent(benchmark: Benchmark) -> list[Reading]:
    row = benchmark.incumbent
    return [Reading(row.difference, row.interval) if row else Reading(None, None)]


def _above_noise(benchmark: Benchmark) -> list[Reading]:
    return [Reading(benchmark.noise.difference if benchmark.noise else None, benchmark.interval("noise.difference"))]


READINGS: dict[str, Callable[[Benchmark, str], list[Reading]]] = {
    "mae": lambda b, _: [Reading(b.mae, b.interval("mae"))],
    "rmse": lambda b, _: [Reading(b.rmse, b.interval("rmse"))],
    "overall_mae": lambda b, _: [Reading(b.overall_mae, b.interval("overall_mae"))],
    "overall_rmse": lambda b, _: [Reading(b.overall_rmse, b.interval("overall_rmse"))],
    "bias": lambda b, _: _size_of_bias(b),
    "spearman": lambda b, _: [Reading(b.spearman, b.interval("spearman"))],
    "tier_agreement": lambda b, _: [Reading(b.tier_agreement, b.interval("tier_agreement"))],
    "score_compression": lambda b, _: [Reading(b.score_compression, b.interval("score_compression"))],
    "train_val_gap": lambda b, _: [Reading(b.train_val_gap, b.interval("train_val_gap"))],
    "val_test_gap": lambda b, _: [Reading(b.val_test_gap, b.interval("val_test_gap"))],
    "tier_recall": lambda b, tier: _tier(b, tier, "recall"),
    "tier_precision": lambda b, tier: _tier(b, tier, "precision"),
    "dimension_mae": lambda b, dimension: _dimension(b, dimension, "mae"),
    "dimension_spearman": lambda b, dimension: _dimension(b, dimension, "spearman"),
    "skill": lambda b, baseline: _skill(b, baseline),
    "mae_vs_incumbent": lambda b, _: _against_incumbent(b),
    "mae_vs_noise_floor": lambda b, _: _above_noise(b),
    "accuracy": lambda b, _: [Reading(b.accuracy, b.interval("accuracy"))],
    "no_overfitting": lambda b, _: [Reading(b.no_overfitting, None)],
    "memory_mb": lambda b, _: [Reading(b.memory_mb, None)],
    "latency_ms": lambda b, _: [Reading(None, None)],  # no benchmark holds a time: the rules are handed what was measured
    # "n" as a bare key or value is a boolean to some YAML readers, so the gate says "articles".
    "articles": lambda b, _: [Reading(float(b.n), b.interval("n"))],
}
"""By metric: the readings of a benchmark, given the tier, dimension or baseline that narrows the gate, or ""."""
