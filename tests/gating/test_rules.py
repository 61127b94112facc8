"""Rules over a benchmark document: what is missing fails, and the worse end is judged where the filter says so."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.components.gating.rules import apply_gates, passed
from distillery.filters.metrics import METRICS
from distillery.filters.spec import Gate

BENCHMARK: dict[str, Any] = {
    "n": 200,
    "mae": 0.7,
    "rmse": 0.9,
    "overall_mae": 0.5,
    "overall_rmse": 0.7,
    "bias": -0.2,
    "spearman": 0.8,
    "tier_agreement": 0.8,
    "score_compression": 0.7,
    "train_val_gap": 0.1,
    "val_test_gap": 0.05,
    "dimensions": {"readiness": {"mae": 0.6, "spearman": 0.9}, "impact": {"mae": 0.9, "spearman": 0.5}},
    "tiers": {"high": {"recall": 0.5, "precision": 0.6}},
    "baselines": {"mean": {"mae": 1.4}, "tfidf_ridge": {"mae": 0.75}},
    "incumbent": {"adapter": "a" * 64, "difference": -0.05, "interval": [-0.1, 0.02]},
    "intervals": {
        "n": [200, 200],
        "mae": [0.65, 0.78],
        "bias": [-0.3, 0.1],
        "spearman": [0.7, 0.85],
        "dimensions.readiness.mae": [0.4, 1.2],
        "dimensions.impact.mae": [0.8, 1.0],
        "dimensions.readiness.spearman": [0.8, 0.95],
        "dimensions.impact.spearman": [0.4, 0.6],
        "tiers.high.recall": [0.3, 0.7],
        "baselines.mean.skill": [0.4, 0.6],
    },
    "alarms": [],
}


def judge(document: dict[str, Any] = BENCHMARK, **gate: Any) -> Any:
    (result,) = apply_gates(document, [Gate(**gate)])
    return result


@pytest.mark.parametrize(
    ("gate", "verdict", "value"),
    [
        ({"metric": "mae", "below": 0.8}, "pass", 0.7),
        ({"metric": "mae", "below": 0.7}, "fail", 0.7),
        ({"metric": "spearman", "atLeast": 0.8}, "pass", 0.8),
        ({"metric": "spearman", "atLeast": 0.81}, "fail", 0.8),
        ({"metric": "bias", "below": 0.3}, "pass", 0.2),
        ({"metric": "bias", "below": 0.2}, "fail", 0.2),
        ({"metric": "articles", "atLeast": 200}, "pass", 200),
        ({"metric": "tier_recall", "tier": "high", "atLeast": 0.5}, "pass", 0.5),
        ({"metric": "tier_precision", "tier": "high", "atLeast": 0.7}, "fail", 0.6),
        ({"metric": "dimension_mae", "below": 1.0}, "pass", 0.9),
        ({"metric": "dimension_mae", "below": 0.9}, "fail", 0.9),
        ({"metric": "dimension_mae", "dimension": "readiness", "below": 0.7}, "pass", 0.6),
        ({"metric": "dimension_spearman", "atLeast": 0.6}, "fail", 0.5),
        ({"metric": "skill", "baseline": "mean", "atLeast": 0.5}, "pass", 0.5),
        ({"metric": "skill", "baseline": "tfidf_ridge", "atLeast": 0.1}, "fail", 1 - 0.7 / 0.75),
        ({"metric": "mae_vs_incumbent", "below": 0.0}, "pass", -0.05),
        ({"metric": "mae_vs_incumbent", "below": -0.05}, "fail", -0.05),
    ],
)
def test_the_value_is_judged(gate: dict[str, Any], verdict: str, value: float) -> None:
    result = judge(**gate)
    assert result.verdict == verdict
    assert result.value == pytest.approx(value)
    assert passed([result]) is (verdict == "pass")


@pytest.mark.parametrize(
    ("gate", "verdict", "interval"),
    [
        ({"metric": "mae", "below": 0.79}, "pass", [0.65, 0.78]),
        ({"metric": "mae", "below": 0.75}, "fail", [0.65, 0.78]),
        ({"metric": "spearman", "atLeast": 0.7}, "pass", [0.7, 0.85]),
        ({"metric": "spearman", "atLeast": 0.75}, "fail", [0.7, 0.85]),
        ({"metric": "bias", "below": 0.3}, "fail", [0.0, 0.3]),
        ({"metric": "dimension_mae", "below": 1.1}, "fail", [0.4, 1.2]),
        ({"metric": "dimension_mae", "dimension": "impact", "below": 1.1}, "pass", [0.8, 1.0]),
        ({"metric": "skill", "baseline": "mean", "atLeast": 0.5}, "fail", [0.4, 0.6]),
        ({"metric": "mae_vs_incumbent", "below": 0.0}, "fail", [-0.1, 0.02]),
        ({"metric": "overall_mae", "below": 9.0}, "fail", None),
        ({"metric": "tier_precision", "tier": "high", "atLeast": 0.0}, "fail", None),
        ({"metric": "train_val_gap", "below": 9.0}, "fail", None),
        ({"metric": "skill", "baseline": "tfidf_ridge", "atLeast": -9.0}, "fail", None),
    ],
)
def test_the_worse_end_is_judged_and_a_missing_interval_fails(gate: dict[str, Any], verdict: str, interval: Any) -> None:
    result = judge(**gate, by="interval")
    assert result.verdict == verdict
    assert result.interval == interval
    if interval is None:
        assert "has no interval" in result.reason


def test_the_worst_dimension_is_named() -> None:
    assert judge(metric="dimension_mae", below=0.8).reason == "impact is worst: 0.9 is not below 0.8"
    reason = judge(metric="dimension_mae", below=1.1, by="interval").reason
    assert reason == "readiness is worst: upper end of the interval, 1.2 is not below 1.1"


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf, "0.1", True, [0.1], {}, ...])
@pytest.mark.parametrize("bound", [{"below": 1e9}, {"atLeast": -1e9}])
@pytest.mark.parametrize("by", ["point", "interval"])
def test_what_is_no_number_fails(missing: Any, bound: dict[str, float], by: Any) -> None:
    document = copy.deepcopy(BENCHMARK)
    if missing is ...:
        del document["mae"], document["dimensions"]["impact"]["mae"], document["tiers"]["high"]["recall"]
        del document["baselines"]["mean"]["mae"], document["incumbent"]["difference"]
    else:
        document["mae"] = document["dimensions"]["impact"]["mae"] = document["tiers"]["high"]["recall"] = missing
        document["baselines"]["mean"]["mae"] = document["incumbent"]["difference"] = missing
    gates = [
        Gate(metric="mae", by=by, **bound),
        Gate(metric="dimension_mae", by=by, **bound),
        Gate(metric="dimension_mae", dimension="impact", by=by, **bound),
        Gate(metric="tier_recall", tier="high", by=by, **bound),
        Gate(metric="skill", baseline="mean", by=by, **bound),
        Gate(metric="mae_vs_incumbent", by=by, **bound),
    ]
    results = apply_gates(document, gates)
    assert [result.verdict for result in results] == ["fail"] * len(gates)
    assert all("has no value" in result.reason for result in results)
    assert all(result.value is None for result in results)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_an_empty_benchmark_passes_nothing(metric: str) -> None:
    argument = {"tier": "high"} if metric.startswith("tier_r") or metric.startswith("tier_p") else {}
    argument = {"baseline": "mean"} if metric == "skill" else argument
    for bound in ({"below": 1e9}, {"atLeast": -1e9}):
        results = apply_gates({}, [Gate(metric=metric, **argument, **bound)])
        assert results[0].verdict == "fail"
        assert not passed(results)


@pytest.mark.parametrize(
    "interval", [None, [0.1], [math.nan, 0.2], [0.1, math.nan], [0.3, 0.1], "no", {}, [None, 0.1], [-math.inf, 0.1]]
)
def test_what_is_no_interval_fails(interval: Any) -> None:
    document = {**BENCHMARK, "intervals": {"mae": interval}}
    assert judge(document, metric="mae", below=9.0, by="interval").verdict == "fail"
    assert judge(document, metric="mae", below=9.0).verdict == "pass"


def test_only_a_missing_incumbent_is_not_applicable() -> None:
    document = {**BENCHMARK, "incumbent": None}
    result = judge(document, metric="mae_vs_incumbent", below=0.0)
    assert result.verdict == "not applicable"
    assert passed([result])
    unreadable = {**BENCHMARK, "incumbent": {"adapter": "a", "difference": None, "interval": None, "reason": "a flipped byte"}}
    result = judge(unreadable, metric="mae_vs_incumbent", below=0.0)
    assert (result.verdict, result.reason) == ("fail", "mae_vs_incumbent has no value: a flipped byte")


def test_the_noise_floor_is_judged_where_it_was_measured() -> None:
    result = judge(metric="mae_vs_noise_floor", below=0.3)
    assert (result.verdict, result.reason) == (
        "fail",
        "mae_vs_noise_floor has no value: measure these labels' oracle with `distillery noise`",
    )
    intervals = {**BENCHMARK["intervals"], "noise.difference": [0.1, 0.4]}
    document = {**BENCHMARK, "noise": {"difference": 0.25}, "intervals": intervals}
    assert judge(document, metric="mae_vs_noise_floor", below=0.3).verdict == "pass"
    assert judge(document, metric="mae_vs_noise_floor", below=0.3, by="interval").verdict == "fail"


def test_alarms_fail_by_a_rule_of_their_own() -> None:
    document = {**BENCHMARK, "alarms": ["predictor ignores its input", "leak"]}
    results = apply_gates(document, [Gate(metric="mae", below=0.8)])
    assert [(r.metric, r.verdict) for r in results] == [("mae", "pass"), ("alarms", "fail")]
    assert results[1].reason == "predictor ignores its input; leak"
    assert not passed(results)
    assert not passed(apply_gates({**BENCHMARK, "alarms": None}, [Gate(metric="mae", below=0.8)]))


def test_no_rules_pass_nothing() -> None:
    assert not passed([])


def test_a_gate_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no metric is named 'accuracy'"):
        judge(metric="accuracy", below=1.0)
    with pytest.raises(ValueError, match="has no bound"):
        judge(metric="mae")


@given(st.floats(), st.floats(-1e9, 1e9), st.booleans())
def test_a_rule_passes_only_what_holds(value: float, bound: float, below: bool) -> None:
    gate = {"below": bound} if below else {"atLeast": bound}
    verdict = judge({**BENCHMARK, "mae": value}, metric="mae", **gate).verdict
    holds = math.isfinite(value) and (value < bound if below else value >= bound)
    assert verdict == ("pass" if holds else "fail")
