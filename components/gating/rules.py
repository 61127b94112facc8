"""Each gate held against a benchmark: pure, no store.

A value that is missing or NaN fails: every comparison is written so that it must hold, never so that its opposite must
not. `by: interval` judges the worse end of the 95% interval, so a small test set has to be better to pass; that rejects
some good students, and a missing interval rejects them all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from distillery.filters.metrics import METRICS
from distillery.filters.spec import Gate

Verdict = Literal["pass", "fail", "not applicable"]
Span = tuple[float, float]
UNMEASURED = {"mae_vs_noise_floor": "measure these labels' oracle with `distillery noise`"}


@dataclass(frozen=True)
class RuleResult:
    """argument: the tier, dimension or baseline that narrows the metric. value, interval: null where not known.

    direction: whether the judged number must be below the bound or at least it. by: "point" judges the value, "interval"
    the worse end of its interval.
    """

    metric: str
    argument: str | None
    value: float | None
    bound: float
    direction: Literal["below", "atLeast"]
    by: Literal["point", "interval"]
    interval: list[float] | None
    verdict: Verdict
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Figure:
    """A value with its interval; `name` says which dimension where a rule looks at several."""

    value: float | None
    interval: Span | None
    name: str | None = None


def apply_gates(benchmark: Mapping[str, Any], gates: Sequence[Gate]) -> list[RuleResult]:
    """One result per gate, in their order, and a failing one named "alarms" where the benchmark raised any.

    benchmark: the benchmark document. ValueError for a metric that isn't in distillery.filters.metrics.
    """
    results = [_apply(benchmark, gate) for gate in gates]
    alarms = benchmark.get("alarms")
    if alarms or not isinstance(alarms, list):
        said = [str(alarm) for alarm in alarms] if isinstance(alarms, list) else ["the benchmark doesn't list its alarms"]
        results.append(RuleResult("alarms", None, float(len(said)), 1.0, "below", "point", None, "fail", "; ".join(said)))
    return results


def passed(results: Sequence[RuleResult]) -> bool:
    """True where there are rules and none fails; one that isn't applicable doesn't count against it."""
    return bool(results) and all(result.verdict in ("pass", "not applicable") for result in results)


def _apply(benchmark: Mapping[str, Any], gate: Gate) -> RuleResult:
    if gate.metric not in METRICS:
        raise ValueError(f"no metric is named {gate.metric!r}")
    argument = gate.tier or gate.dimension or gate.baseline
    bound, below = (gate.below, True) if gate.below is not None else (gate.atLeast, False)
    if bound is None:
        raise ValueError(f"the gate on {gate.metric} has no bound")

    def result(figure: Figure | None, verdict: Verdict, reason: str) -> RuleResult:
        value, span = (figure.value, figure.interval) if figure else (None, None)
        return RuleResult(
            gate.metric,
            argument,
            value,
            bound,
            "below" if below else "atLeast",
            gate.by,
            list(span) if span else None,
            verdict,
            reason,
        )

    if gate.metric == "mae_vs_incumbent" and benchmark.get("incumbent", ...) is None:
        return result(None, "not applicable", "the channel has no incumbent yet")
    figures = _figures(benchmark, gate.metric, argument)
    if not figures:
        return result(None, "fail", f"the benchmark has no {gate.metric}")

    worst: Figure | None = None
    worst_number = math.nan
    for figure in figures:
        number = _judged(figure, gate.by, below)
        if number is None:
            what = "value" if figure.value is None else "interval"
            reason = f"{_named(gate.metric, figure.name or argument)} has no {what}"
            cause = _at(benchmark, "incumbent.reason") if gate.metric == "mae_vs_incumbent" else UNMEASURED.get(gate.metric)
            return result(figure, "fail", f"{reason}: {cause}" if cause else reason)
        if worst is None or (number > worst_number if below else number < worst_number):
            worst, worst_number = figure, number
    good = worst_number < bound if below else worst_number >= bound
    name = worst.name if worst else None
    end = "" if gate.by == "point" else f"{'upper' if below else 'lower'} end of the interval, "
    where = f"{name} is worst: " if name else ""
    relation = ("below" if good else "not below") if below else ("at least" if good else "less than")
    return result(worst, "pass" if good else "fail", f"{where}{end}{worst_number:.4g} is {relation} {bound:g}")


def _named(metric: str, name: str | None) -> str:
    return f"{metric} of {name}" if name else metric


def _judged(figure: Figure, by: str, below: bool) -> float | None:
    """The number to compare: the value, or the worse end of the interval; None where it isn't known."""
    if figure.value is None or (by == "interval" and figure.interval is None):
        return None
    if by == "point" or figure.interval is None:
        return figure.value
    return figure.interval[1] if below else figure.interval[0]


def _figures(benchmark: Mapping[str, Any], metric: str, argument: str | None) -> list[Figure]:
    """The figures a metric looks at: one, or one per dimension where a rule on dimensions names none."""
    if metric in ("tier_recall", "tier_precision"):
        return [_figure(benchmark, f"tiers.{argument}.{metric.removeprefix('tier_')}")]
    if metric in ("dimension_mae", "dimension_spearman"):
        dimensions = benchmark.get("dimensions")
        names = [argument] if argument else sorted(dimensions) if isinstance(dimensions, dict) else []
        found = [_figure(benchmark, f"dimensions.{name}.{metric.removeprefix('dimension_')}") for name in names]
        return found if argument else [Figure(f.value, f.interval, name) for f, name in zip(found, names, strict=True)]
    if metric == "skill":
        ours, theirs = number(_at(benchmark, "mae")), number(_at(benchmark, f"baselines.{argument}.mae"))
        value = 1 - ours / theirs if ours is not None and theirs else None
        return [Figure(value, _interval(benchmark, f"baselines.{argument}.skill"))]
    if metric == "mae_vs_incumbent":
        return [Figure(number(_at(benchmark, "incumbent.difference")), span(_at(benchmark, "incumbent.interval")))]
    if metric == "mae_vs_noise_floor":
        return [_figure(benchmark, "noise.difference")]
    if metric == "bias":
        figure = _figure(benchmark, "bias")
        ends = [abs(end) for end in figure.interval] if figure.interval else None
        crosses = figure.interval is not None and figure.interval[0] <= 0 <= figure.interval[1]
        return [
            Figure(
                None if figure.value is None else abs(figure.value),
                (0.0 if crosses else min(ends), max(ends)) if ends else None,
            )
        ]
    # "n" as a bare key or value is a boolean to some YAML readers, so the gate says "articles".
    return [_figure(benchmark, "n" if metric == "articles" else metric)]


def _figure(benchmark: Mapping[str, Any], path: str) -> Figure:
    return Figure(number(_at(benchmark, path)), _interval(benchmark, path))


def _interval(benchmark: Mapping[str, Any], path: str) -> Span | None:
    intervals = benchmark.get("intervals")
    return span(intervals.get(path)) if isinstance(intervals, dict) else None


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def number(value: Any) -> float | None:
    """A finite number, or None for anything else: null, NaN, infinity, text, true."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def span(value: Any) -> Span | None:
    """An interval [low, high] of finite numbers, or None for anything else."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return (low, high) if low is not None and high is not None and low <= high else None
