"""A student that is behind a baseline, or not shown to be better than the adapter in use, passes only where a gate says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.verdict import Rule
from distillery.components.gating import gate as step
from distillery.components.gating import rules
from distillery.components.gating.gate import gate, read_verdict
from distillery.components.gating.rules import apply_gates, passed
from distillery.components.store import Store
from distillery.filters.gates import Gate
from tests.documents import benchmark_json, incumbent_json
from tests.gating.judged import make_filter, ready

LENIENT = Gate(metric="mae", below=9.0)
BASELINE = benchmark_json()["baselines"]["mean"]
BEHIND = {"baselines": {"mean": BASELINE, "tfidf_ridge": {**BASELINE, "mae": 0.6}}}  # the student has 0.7
LEVEL = {"incumbent": incumbent_json()}
ALONE = make_filter(", {metric: mae_vs_incumbent, below: 0.0}")


def failing(document: dict[str, Any], *gates: Gate) -> list[Rule]:
    """The rules that fail, the filter's own gate on the error beside these."""
    found = apply_gates(Benchmark.model_validate(benchmark_json(**document)), [LENIENT, *gates])
    fails = [rule for rule in found if rule.verdict == "fail"]
    assert passed(found) is not bool(fails)
    return fails


@pytest.mark.parametrize(
    ("document", "name", "reason"),
    [
        (BEHIND, "skill tfidf_ridge", "-0.1667 is less than 0"),
        ({"baselines": {"mean": {**BASELINE, "mae": None}}}, "skill mean", "skill of mean has no value"),
        ({"mae": None}, "skill mean", "skill of mean has no value"),
        ({"mae": 1e308, "baselines": {"mean": {**BASELINE, "mae": 1e-3}}}, "skill mean", "skill of mean has no value"),
        (LEVEL, "mae_vs_incumbent", "upper end of the interval, 0.02 is not below 0"),
        (
            {"incumbent": incumbent_json(interval=[-0.1, 0.0])},
            "mae_vs_incumbent",
            "upper end of the interval, 0 is not below 0",
        ),
        ({"incumbent": incumbent_json(difference=0.1, interval=[0.05, 0.2])}, "mae_vs_incumbent", "0.2 is not below 0"),
        ({"incumbent": incumbent_json(interval=None)}, "mae_vs_incumbent", "mae_vs_incumbent has no interval"),
        (
            {"incumbent": incumbent_json(difference=None, interval=None, reason="a flipped byte")},
            "mae_vs_incumbent",
            "mae_vs_incumbent has no value: a flipped byte",
        ),
    ],
)
def test_a_loss_that_no_gate_permits_fails(document: dict[str, Any], name: str, reason: str) -> None:
    rule = failing(document)[-1]
    assert (f"{rule.metric} {rule.argument}" if rule.argument else rule.metric) == name
    assert rule.reason.endswith(f"{reason}, and no gate of the filter permits it")


@pytest.mark.parametrize(
    ("document", "gates"),
    [
        (BEHIND, [Gate(metric="skill", baseline="tfidf_ridge", atLeast=-0.2)]),
        (LEVEL, [Gate(metric="mae_vs_incumbent", below=0.0)]),
        (LEVEL, [Gate(metric="mae_vs_incumbent", below=0.05, by="interval")]),
        ({"incumbent": incumbent_json(difference=0.1, interval=[0.05, 0.2])}, [Gate(metric="mae_vs_incumbent", below=0.15)]),
        (
            BEHIND | LEVEL,
            [Gate(metric="mae_vs_incumbent", below=99.0), Gate(metric="skill", baseline="tfidf_ridge", atLeast=-9.0)],
        ),
    ],
)
def test_a_gate_permits_a_loss_knowingly(document: dict[str, Any], gates: list[Gate]) -> None:
    assert failing(document)
    assert failing(document, *gates) == []


@pytest.mark.parametrize(
    ("document", "gates", "fails"),
    [
        (BEHIND, [Gate(metric="skill", baseline="mean", atLeast=-9.0)], ["skill"]),  # speaks of another baseline
        (BEHIND, [Gate(metric="skill", baseline="tfidf_ridge", atLeast=-0.1)], ["skill"]),  # its bound decides
        (BEHIND, [Gate(metric="skill", baseline="tfidf_ridge", below=9.0)], ["skill"]),  # the wrong way round
        (BEHIND, [Gate(metric="mae_vs_incumbent", below=99.0)], ["skill"]),
        (LEVEL, [Gate(metric="mae_vs_incumbent", atLeast=-99.0)], ["mae_vs_incumbent"]),
        (LEVEL, [Gate(metric="skill", baseline="mean", atLeast=-9.0)], ["mae_vs_incumbent"]),
        (BEHIND | LEVEL, [], ["skill", "mae_vs_incumbent"]),
        ({}, [Gate(metric="skill", baseline="source_median", atLeast=-9.0)], ["skill"]),  # a baseline that was left out
    ],
)
def test_a_gate_permits_what_it_speaks_of_and_no_more(document: dict[str, Any], gates: list[Gate], fails: list[str]) -> None:
    assert [rule.metric for rule in failing(document, *gates)] == fails


@pytest.mark.parametrize(
    "document",
    [
        {},  # a channel without an adapter: the first one is compared with nothing
        {"baselines": {}},
        {"mae": 1.4},  # level with the baseline
        {"mae": 0.0, "baselines": {"mean": {**BASELINE, "mae": 0.0}}},  # neither errs
        {"incumbent": incumbent_json(difference=-0.1, interval=[-0.2, -0.01])},
    ],
)
def test_who_loses_nothing_needs_no_gate(document: dict[str, Any]) -> None:
    assert failing(document) == []


MAES = st.floats(0.01, 5.0).map(lambda value: round(value, 3))


@given(MAES, st.dictionaries(st.sampled_from(["mean", "median", "tfidf_ridge"]), MAES), st.none() | st.tuples(MAES, MAES))
def test_without_gates_on_them_nobody_is_behind_and_somebody_who_serves_is_beaten(
    mae: float, baselines: dict[str, float], span: tuple[float, float] | None
) -> None:
    low, high = (round(each - 2.5, 3) for each in sorted(span or (0, 0)))
    used = incumbent_json(difference=low, interval=[low, high]) if span else None
    rows = {name: {**BASELINE, "mae": value} for name, value in baselines.items()}
    loses = any(mae > value for value in baselines.values()) or (span is not None and high >= 0)
    document = Benchmark.model_validate(benchmark_json(mae=mae, baselines=rows, incumbent=used))
    assert passed(apply_gates(document, [LENIENT])) is not loses
    assert bool(document.losses()) is loses  # and the sentence of a report agrees


def test_a_verdict_of_before_is_reached_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (behind, lost), (ahead, won) = ready(store, **BEHIND), ready(store, number=1)
    with monkeypatch.context() as patch:
        patch.setattr(step, "CODE", 1)
        patch.setattr(rules, "unstated", lambda *_: [])
        before = gate(store, ALONE, adapter=behind, benchmark=lost)
        kept = gate(store, ALONE, adapter=ahead, benchmark=won)
    assert before.outputs["decision"] == kept.outputs["decision"] == "promote"
    after = gate(store, ALONE, adapter=behind, benchmark=lost)
    assert (after.reused, after.outputs["decision"]) == (False, "reject")
    assert read_verdict(store, "demo", before.outputs["verdict"]).passed  # which stays readable
    assert gate(store, ALONE, adapter=ahead, benchmark=won).outputs == kept.outputs  # the same verdict, byte for byte
