"""Benchmarks and verdicts that were stored earlier: read, and written again as the same bytes, since digests name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.artifacts.benchmark import Benchmark, figure, interval
from distillery.components.artifacts.verdict import Verdict
from distillery.components.store import StoreError

GOLDEN = Path(__file__).parent / "golden"
BENCHMARKS = sorted(path.name for path in GOLDEN.glob("benchmark-*.json"))
VERDICTS = sorted(path.name for path in GOLDEN.glob("verdict-*.json"))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_stored_benchmark_is_written_again_as_the_same_bytes(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    assert Benchmark.read(data, name).to_bytes() == data


@pytest.mark.parametrize("name", VERDICTS)
def test_a_stored_verdict_is_written_again_as_the_same_bytes(name: str) -> None:
    data = (GOLDEN / name).read_bytes()
    assert Verdict.read(data, name).to_bytes() == data


def test_the_stored_ones_cover_what_may_be_absent() -> None:
    full, one, unreadable = (Benchmark.read((GOLDEN / name).read_bytes(), name) for name in BENCHMARKS)
    assert full.noise is not None
    assert full.noise.second is not None
    assert full.incumbent is not None
    assert full.incumbent.reason == ""
    assert "reason" not in full.to_json()["incumbent"]
    assert one.incumbent is None
    assert unreadable.incumbent is not None
    assert unreadable.incumbent.reason == "a flipped byte"


def test_a_benchmark_from_before_noise_was_measured_is_read() -> None:
    fields = json.loads((GOLDEN / "benchmark-one-article.json").read_bytes())
    del fields["noise"]
    benchmark = Benchmark.read(json.dumps(fields).encode(), "x")
    assert benchmark.noise is None
    assert "noise" not in benchmark.to_json()


@pytest.mark.parametrize("missing", ["mae", "dimensions", "incumbent", "alarms", "calibration"])
def test_a_benchmark_without_a_key_it_always_had_is_refused(missing: str) -> None:
    fields = json.loads((GOLDEN / "benchmark-full.json").read_bytes())
    del fields[missing]
    with pytest.raises(StoreError, match=f"is not a benchmark: {missing}: Field required"):
        Benchmark.read(json.dumps(fields).encode(), "x")


def test_a_figure_is_a_finite_number_at_nine_decimals_or_none() -> None:
    assert figure(1 / 3) == 0.333333333
    assert figure(2) == 2.0
    assert [figure(value) for value in (None, float("nan"), float("inf"), -float("inf"))] == [None] * 4
    for odd in ("0.1", True, [0.1], {}):
        with pytest.raises(ValueError, match="is not a number"):
            figure(odd)


def test_an_interval_has_two_finite_ends_in_order_or_is_none() -> None:
    assert interval([0.1, 0.2]) == (0.1, 0.2)
    assert [interval(value) for value in (None, [float("nan"), 0.2], [None, 0.1], [-float("inf"), 0.1])] == [None] * 4
    for odd in ([0.1], "no", {}, [0.1, "0.2"], [0.3, 0.1]):
        with pytest.raises(ValueError, match=r"is not a|is an interval whose"):
            interval(odd)
