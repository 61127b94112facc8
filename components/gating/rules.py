"""Each gate held against a benchmark: pure, no store.

A value that is not known fails: every comparison is written so that it must hold, never so that its opposite must not.
`by: interval` judges the worse end of the 95% interval, so a small test set has to be better to pass; that rejects some good
students, and a missing interval rejects them all. Between its bound and its `review` a gate leaves the decision to a person.

Besides the filter's own gates, a student must not be behind a baseline, and must be shown to be better than the adapter in use.
A gate of the filter on the same says knowingly what it takes instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.verdict import Rule, RuleVerdict
from distillery.components.gating.readings import READINGS, Reading
from distillery.filters.gates import Gate
from distillery.filters.metrics import MEASURED

UNMEASURED = {
    "mae_vs_noise_floor": "measure these labels' oracle with `distillery noise`",
    "latency_ms": "measure the adapter where it is to serve with `distillery measure`, then gate again",
}


def apply_gates(benchmark: Benchmark, gates: Sequence[Gate], measured: Mapping[str, float] | None = None) -> list[Rule]:
    """Return what each gate found, in their order, then a failing rule for each loss that no gate permits, and for alarms.

    Args:
        benchmark: of the adapter.
        gates: of the filter.
        measured: what was measured of the adapter on a machine, by name of the metric; None for nothing.

    Returns:
        One rule a gate; one that fails for each of `unstated` that does not hold; and one named "alarms" where there are any.

    Raises:
        ValueError: a gate names a metric that isn't in `READINGS`, or has no bound.
    """
    found = measured or {}
    rules = [apply_measured(gate, found) if gate.metric in MEASURED else _apply(benchmark, gate) for gate in gates]
    losses = [rule for gate in unstated(benchmark, gates) if (rule := _apply(benchmark, gate)).verdict == "fail"]
    rules += [rule.model_copy(update={"reason": f"{rule.reason}, and no gate of the filter permits it"}) for rule in losses]
    if benchmark.alarms:
        rules.append(
            Rule(
                metric="alarms",
                argument=None,
                value=float(len(benchmark.alarms)),
                bound=1.0,
                direction="below",
                by="point",
                interval=None,
                verdict="fail",
                reason="; ".join(benchmark.alarms),
            )
        )
    return rules


def unstated(benchmark: Benchmark, gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates that hold where the filter states none: not behind any baseline, and better than the adapter in use.

    A gate of the filter on the same baseline, or on the adapter in use, takes the place of ours, whatever its bound; one that
    is the wrong way round permits nothing.

    Args:
        benchmark: of the adapter.
        gates: of the filter.

    Returns:
        Gates; none on a baseline with which the student is level, where skill cannot be worked out because both never err.
    """
    stated = {gate.baseline for gate in gates if gate.metric == "skill" and gate.atLeast is not None}
    level = {name for name, row in benchmark.baselines.items() if row.mae is not None and row.mae == benchmark.mae}
    behind = [name for name in benchmark.baselines if name not in stated | level]
    ours = [Gate(metric="skill", baseline=name, atLeast=0.0) for name in behind]
    if benchmark.incumbent and not any(gate.metric == "mae_vs_incumbent" and gate.below is not None for gate in gates):
        ours.append(Gate(metric="mae_vs_incumbent", below=0.0, by="interval"))
    return ours


def passed(rules: Sequence[Rule]) -> bool:
    """Return whether there are rules and none fails; one that isn't applicable, or is a person's to decide, is no failure.

    Args:
        rules: what the gates found.

    Returns:
        True if the adapter passes.
    """
    return bool(rules) and all(rule.verdict in ("pass", "review", "not applicable") for rule in rules)


def apply_measured(gate: Gate, measured: Mapping[str, float]) -> Rule:
    """Return what a gate on a machine's metric found, without the number: another measurement that agrees is the same rule.

    Args:
        gate: on one of the metrics of `MEASURED`.
        measured: what was measured of the adapter, by name of the metric.

    Returns:
        The rule; it fails where nothing was measured.
    """
    reading = Reading(measured.get(gate.metric), None)
    rule = _judged(gate, [reading], lambda reading: _not_known(None, gate.metric, None, reading), shown="what was measured")
    return rule.model_copy(update={"value": None})


def _apply(benchmark: Benchmark, gate: Gate) -> Rule:
    if gate.metric not in READINGS:
        raise ValueError(f"no metric is named {gate.metric!r}")
    argument = gate.tier or gate.dimension or gate.baseline
    readings = READINGS[gate.metric](benchmark, argument or "")
    no_incumbent = gate.metric == "mae_vs_incumbent" and benchmark.incumbent is None
    known = lambda reading: _not_known(benchmark, gate.metric, argument, reading)  # noqa: E731
    return _judged(gate, readings, known, no_incumbent=no_incumbent)


def _judged(
    gate: Gate, readings: Sequence[Reading], unknown: Callable[[Reading], str], *, shown: str = "", no_incumbent: bool = False
) -> Rule:
    """Return what a gate found in readings. unknown: says why one can't be judged. shown: what a reason has for the number."""
    argument = gate.tier or gate.dimension or gate.baseline
    bound, below = (gate.below, True) if gate.below is not None else (gate.atLeast, False)
    if bound is None:
        raise ValueError(f"the gate on {gate.metric} has no bound")

    def rule(reading: Reading | None, verdict: RuleVerdict, reason: str) -> Rule:
        return Rule(
            metric=gate.metric,
            argument=argument,
            value=reading.value if reading else None,
            bound=bound,
            direction="below" if below else "atLeast",
            by=gate.by,
            interval=reading.interval if reading else None,
            verdict=verdict,
            reason=reason,
            review=gate.review,
        )

    if no_incumbent:
        return rule(None, "not applicable", "the channel has no incumbent yet")
    worst: Reading | None = None
    worst_number = math.nan
    for reading in readings:
        number = _judged_number(reading, gate.by, below)
        if number is None:
            return rule(reading, "fail", unknown(reading))
        if worst is None or (number > worst_number if below else number < worst_number):
            worst, worst_number = reading, number
    if worst is None:
        return rule(None, "fail", f"the benchmark has no {gate.metric}")
    good = worst_number < bound if below else worst_number >= bound
    end = "" if gate.by == "point" else f"{'upper' if below else 'lower'} end of the interval, "
    where = f"{worst.name} is worst: " if worst.name else ""
    relation = ("below" if good else "not below") if below else ("at least" if good else "less than")
    reason = f"{where}{end}{shown or f'{worst_number:.4g}'} is {relation} {bound:g}"
    if not good and gate.review is not None and (worst_number < gate.review if below else worst_number >= gate.review):
        side = "below" if below else "at least"
        return rule(worst, "review", f"{reason}, and {side} {gate.review:g}: a person decides")
    return rule(worst, "pass" if good else "fail", reason)


def _judged_number(reading: Reading, by: str, below: bool) -> float | None:
    """Return the number to compare: the value, or the worse end of the interval; None where it isn't known."""
    if reading.value is None or (by == "interval" and reading.interval is None):
        return None
    if by == "point" or reading.interval is None:
        return reading.value
    return reading.interval[1] if below else reading.interval[0]


def _not_known(benchmark: Benchmark | None, metric: str, argument: str | None, reading: Reading) -> str:
    """Return why a metric can't be judged."""
    name = reading.name or argument
    fault = f"{metric} of {name}" if name else metric
    fault += f" has no {'value' if reading.value is None else 'interval'}"
    incumbent = benchmark.incumbent if benchmark else None
    cause = incumbent.reason if metric == "mae_vs_incumbent" and incumbent else UNMEASURED.get(metric)
    return f"{fault}: {cause}" if cause else fault
