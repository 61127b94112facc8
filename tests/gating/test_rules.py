"""Rules over a benchmark document: what is missing fails, and the worse end is judged where the filter says so."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.verdict import Rule
from distillery.components.gating.readings import READINGS
from distillery.components.gating.rules import apply_gates, passed
from distillery.filters.gates import Gate
from distillery.filters.metrics import METRICS
from tests.documents import benchmark_json, incumbent_json

TIER = benchmark_json()["tiers"]["high"]
DIMENSION = benchmark_json()["dimensions"]["readiness"]
BASELINE = benchmark_json()["baselines"]["mean"]
BENCHMARK = benchmark_json(
    n=200,
    bias=-0.2,
    score_compression=0.7,
    dimensions={"readiness": DIMENSION | {"mae": 0.6, "spearman": 0.9}, "impact": DIMENSION | {"mae": 0.9, "spearman": 0.5}},
    tiers={"high": TIER | {"recall": 0.5, "precision": 0.6}},
    baselines={"mean": BASELINE | {"mae": 1.4}, "tfidf_ridge": BASELINE | {"mae": 0.75}},
    incumbent=incumbent_json(interval=[-0.1, -0.01]),
    intervals={
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
)


def apply(document: dict[str, Any], gates: list[Gate]) -> list[Rule]:
    return apply_gates(Benchmark.model_validate(document), gates)


def judge(document: dict[str, Any] = BENCHMARK, **gate: Any) -> Any:
    """What this gate found; rules that no gate states come after it."""
    return apply(document, [Gate(**gate)])[0]


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
        ({"metric": "mae_vs_incumbent", "below": 0.0}, "pass", [-0.1, -0.01]),
        ({"metric": "mae_vs_incumbent", "below": -0.02}, "fail", [-0.1, -0.01]),
        ({"metric": "overall_mae", "below": 9.0}, "fail", None),
        ({"metric": "tier_precision", "tier": "high", "atLeast": 0.0}, "fail", None),
        ({"metric": "train_val_gap", "below": 9.0}, "fail", None),
        ({"metric": "skill", "baseline": "tfidf_ridge", "atLeast": -9.0}, "fail", None),
    ],
)
def test_the_worse_end_is_judged_and_a_missing_interval_fails(gate: dict[str, Any], verdict: str, interval: Any) -> None:
    result = judge(**gate, by="interval")
    assert result.verdict == verdict
    assert result.interval == (tuple(interval) if interval else None)
    if interval is None:
        assert "has no interval" in result.reason


def test_the_worst_dimension_is_named() -> None:
    assert judge(metric="dimension_mae", below=0.8).reason == "impact is worst: 0.9 is not below 0.8"
    reason = judge(metric="dimension_mae", below=1.1, by="interval").reason
    assert reason == "readiness is worst: upper end of the interval, 1.2 is not below 1.1"


GATED = [["mae"], ["dimensions", "impact", "mae"], ["tiers", "high", "recall"], ["baselines", "mean", "mae"],
         ["incumbent", "difference"]]  # fmt: skip


def replaced(path: list[str], value: Any) -> dict[str, Any]:
    """The benchmark with one figure replaced, or left out for `...`."""
    document = copy.deepcopy(BENCHMARK)
    row = document
    for name in path[:-1]:
        row = row[name]
    if value is ...:
        del row[path[-1]]
    else:
        row[path[-1]] = value
    return document


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bound", [{"below": 1e9}, {"atLeast": -1e9}])
@pytest.mark.parametrize("by", ["point", "interval"])
def test_a_figure_that_is_not_known_fails(missing: Any, bound: dict[str, float], by: Any) -> None:
    document = copy.deepcopy(BENCHMARK)
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
    rules = apply(document, gates)
    assert [rule.metric for rule in rules[: len(gates)]] == [gate.metric for gate in gates]
    assert [rule.verdict for rule in rules[: len(gates)]] == ["fail"] * len(gates)
    assert all("has no value" in rule.reason for rule in rules)
    assert all(rule.value is None for rule in rules)


@pytest.mark.parametrize("odd", ["0.1", True, [0.1], {}, ...])
@pytest.mark.parametrize("path", GATED, ids=".".join)
def test_a_figure_that_is_no_number_or_left_out_is_no_benchmark(path: list[str], odd: Any) -> None:
    with pytest.raises(ValidationError, match="Field required" if odd is ... else "is not a number"):
        Benchmark.model_validate(replaced(path, odd))


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_a_benchmark_in_which_nothing_is_known_passes_nothing(metric: str) -> None:
    argument = {"tier": "high"} if metric.startswith("tier_r") or metric.startswith("tier_p") else {}
    argument = {"baseline": "mean"} if metric == "skill" else argument
    unknown = {name: None for name, value in BENCHMARK.items() if isinstance(value, float)}
    nothing = {"n": 0, "dimensions": {}, "tiers": {}, "baselines": {}, "intervals": {}}
    incumbent = incumbent_json(difference=None, interval=None, reason="")
    for bound in ({"below": 1e9}, {"atLeast": 1.0} if metric == "articles" else {"atLeast": -1e9}):
        if metric == "articles" and "below" in bound:
            continue  # there are fewer than that
        document = {**BENCHMARK, **unknown, **nothing, "incumbent": incumbent}
        rules = apply(document, [Gate(metric=metric, **argument, **bound)])
        assert rules[0].verdict == "fail"
        assert not passed(rules)
    with pytest.raises(ValidationError):
        apply({}, [Gate(metric=metric, **argument, below=1e9)])


@pytest.mark.parametrize("interval", [None, [math.nan, 0.2], [0.1, math.nan], [None, 0.1], [-math.inf, 0.1]])
def test_an_interval_that_is_not_known_fails(interval: Any) -> None:
    document = {**BENCHMARK, "intervals": {"mae": interval}}
    assert judge(document, metric="mae", below=9.0, by="interval").verdict == "fail"
    assert judge(document, metric="mae", below=9.0).verdict == "pass"


@pytest.mark.parametrize("odd", [[0.1], [0.3, 0.1], "no", {}, [0.1, "0.2"], [0.1, 0.2, 0.3]])
def test_what_is_no_interval_is_no_benchmark(odd: Any) -> None:
    with pytest.raises(ValidationError, match=r"intervals\.mae"):
        Benchmark.model_validate({**BENCHMARK, "intervals": {"mae": odd}})


def test_every_metric_a_gate_may_name_has_one_reading() -> None:
    assert READINGS.keys() == METRICS.keys()


def test_only_a_missing_incumbent_is_not_applicable() -> None:
    document = {**BENCHMARK, "incumbent": None}
    result = judge(document, metric="mae_vs_incumbent", below=0.0)
    assert result.verdict == "not applicable"
    assert passed([result])
    unreadable = {**BENCHMARK, "incumbent": incumbent_json(difference=None, interval=None, reason="a flipped byte")}
    result = judge(unreadable, metric="mae_vs_incumbent", below=0.0)
    assert (result.verdict, result.reason) == ("fail", "mae_vs_incumbent has no value: a flipped byte")


def test_the_noise_floor_is_judged_where_it_was_measured() -> None:
    result = judge(metric="mae_vs_noise_floor", below=0.3)
    assert (result.verdict, result.reason) == (
        "fail",
        "mae_vs_noise_floor has no value: measure these labels' oracle with `distillery noise`",
    )
    intervals = {**BENCHMARK["intervals"], "noise.difference": [0.1, 0.4]}
    noise = {"mae": 0.45, "interval": [0.3, 0.6], "overall_mae": 0.3, "dimensions": {}, "n": 50, "repeat": 3, "second": None}
    document = {**BENCHMARK, "noise": {**noise, "difference": 0.25}, "intervals": intervals}
    assert judge(document, metric="mae_vs_noise_floor", below=0.3).verdict == "pass"
    assert judge(document, metric="mae_vs_noise_floor", below=0.3, by="interval").verdict == "fail"


def test_alarms_fail_by_a_rule_of_their_own() -> None:
    document = {**BENCHMARK, "alarms": ["predictor ignores its input", "leak"]}
    results = apply(document, [Gate(metric="mae", below=0.8)])
    assert [(r.metric, r.verdict) for r in results] == [("mae", "pass"), ("alarms", "fail")]
    assert results[1].reason == "predictor ignores its input; leak"
    assert not passed(results)
    with pytest.raises(ValidationError, match="alarms"):
        apply({**BENCHMARK, "alarms": None}, [Gate(metric="mae", below=0.8)])


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ({"metric": "mae", "below": 0.8, "review": 0.9}, "pass"),
        ({"metric": "mae", "below": 0.65, "review": 0.75}, "review"),
        ({"metric": "mae", "below": 0.65, "review": 0.7}, "fail"),  # below the review, as below the bound
        ({"metric": "mae", "below": 0.7, "review": 0.8, "by": "interval"}, "review"),
        ({"metric": "mae", "below": 0.7, "review": 0.75, "by": "interval"}, "fail"),
        ({"metric": "spearman", "atLeast": 0.85, "review": 0.8}, "review"),
        ({"metric": "spearman", "atLeast": 0.85, "review": 0.81}, "fail"),
        ({"metric": "spearman", "atLeast": 0.8, "review": 0.7}, "pass"),
        ({"metric": "dimension_mae", "below": 0.85, "review": 1.0}, "review"),
        ({"metric": "memory_mb", "below": 1000, "review": 2000}, "fail"),  # not known
    ],
)
def test_between_bound_and_review_a_person_decides(gate: dict[str, Any], verdict: str) -> None:
    rule = judge(**gate)
    assert (rule.verdict, rule.review) == (verdict, gate["review"])
    assert ("a person decides" in rule.reason) == (verdict == "review")
    assert passed([rule]) == (verdict != "fail")


def test_a_rule_without_review_is_written_as_before_there_was_one() -> None:
    assert "review" not in judge(metric="mae", below=0.8).to_json()


@pytest.mark.parametrize(
    ("figures", "gate", "verdict"),
    [
        ({"accuracy": 0.79, "intervals": {"accuracy": [0.75, 0.83]}}, {"metric": "accuracy", "atLeast": 0.8}, "fail"),
        ({"accuracy": 0.81, "intervals": {"accuracy": [0.77, 0.85]}}, {"metric": "accuracy", "atLeast": 0.8}, "pass"),
        (
            {"accuracy": 0.81, "intervals": {"accuracy": [0.77, 0.85]}},
            {"metric": "accuracy", "atLeast": 0.8, "by": "interval"},
            "fail",
        ),
        ({"no_overfitting": 1.4}, {"metric": "no_overfitting", "below": 1.0}, "fail"),
        ({"no_overfitting": 0.0}, {"metric": "no_overfitting", "below": 1.0}, "pass"),
        ({"no_overfitting": None}, {"metric": "no_overfitting", "below": 1.0}, "fail"),
        ({"memory_mb": 512.5}, {"metric": "memory_mb", "below": 512}, "fail"),
        ({"memory_mb": 511.5}, {"metric": "memory_mb", "below": 512}, "pass"),
    ],
)
def test_figures_that_a_gate_asks_for_are_judged(figures: dict[str, Any], gate: dict[str, Any], verdict: str) -> None:
    assert judge(BENCHMARK | figures, **gate).verdict == verdict


def test_no_rules_pass_nothing() -> None:
    assert not passed([])


def test_a_gate_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no metric is named 'exactness'"):
        judge(metric="exactness", below=1.0)
    with pytest.raises(ValueError, match="has no bound"):
        judge(metric="mae")


@given(st.floats(), st.floats(-1e9, 1e9), st.booleans())
def test_a_rule_passes_only_what_holds(value: float, bound: float, below: bool) -> None:
    gate = {"below": bound} if below else {"atLeast": bound}
    verdict = judge({**BENCHMARK, "mae": value}, metric="mae", **gate).verdict
    value = round(value, 9) if math.isfinite(value) else value  # as the benchmark has it
    holds = math.isfinite(value) and (value < bound if below else value >= bound)
    assert verdict == ("pass" if holds else "fail")
