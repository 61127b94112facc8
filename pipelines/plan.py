"""What a run would do before it does anything: which steps run, which are reused, which digest moved and why.

A step whose inputs are known is looked up as the step itself would; everything after the first one that must run, runs too.
Costs are the last run's seconds, scaled to what there is to do now, and what the oracle would be paid. No hub is asked.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from distillery.components.articles.folders import input_digest, shards
from distillery.components.articles.hub import NotFetched, nothing_fetched
from distillery.components.articles.input_files import local_input
from distillery.components.artifacts.step_record import StepRecord, look_up
from distillery.components.artifacts.steps import LOOKED_UP
from distillery.components.preflight.preflight import require_price
from distillery.components.runtime.progress import clock
from distillery.components.store import Store, StoreError
from distillery.filters.filter import Filter
from distillery.filters.spec import ONLINE
from distillery.pipelines.estimates import Work, seconds_for
from distillery.pipelines.first_look import look
from distillery.pipelines.plan_remarks import Planned, tell_languages, tell_memory
from distillery.pipelines.steps import INPUTS, RunState

__all__ = ["Planned", "Planner", "changes", "due", "last_records", "make_plan", "render_plan", "whole_number"]

QUOTED: Final = 200 * 2**20  # bytes: a larger file takes longer to price than somebody waits for a plan


def changes(old: Any, new: Any, path: str = "") -> list[str]:
    """Return what differs between the inputs that a step had and has, as "training.epochs: 3 → 4".

    Args:
        old: JSON value of the last run.
        new: JSON value of this run.
        path: Where the two values stand; empty at the top.

    Returns:
        A line for each difference; digests by their first 12 characters.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted(old.keys() | new.keys()):
            lines += changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return lines
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for i, (a, b) in enumerate(zip(old, new, strict=True)) for line in changes(a, b, f"{path}[{i}]")]
    return [] if old == new else [f"{path}: {_shown(old)} → {_shown(new)}"]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return text[:12]
    return text if len(text) <= 48 else text[:45] + "…"


class Planner:
    """Walks the steps in order.

    Attributes:
        store: Where records are looked up.
        last: The filter's last records, by step.
        steps: What is planned so far.
        upstream: Name of the first step that must run, after which digests are unknown; empty where there is none yet.
        unknown: Why the inputs of a step can't be known before it runs, by step.
        work: What there is to do, as far as it is known.
        languages: Articles by the language that they declare, as far as the input was looked at.
    """

    def __init__(self, store: Store, last: dict[str, StepRecord]) -> None:
        self.store, self.last, self.work = store, last, Work()
        self.steps: list[Planned] = []
        self.upstream = ""
        self.unknown: dict[str, str] = {}
        self.languages = Counter[str]()

    def add(self, step: str, inputs: dict[str, Any] | None, cost: str = "") -> StepRecord | None:
        """Plan one step.

        Args:
            step: Name of the step.
            inputs: What it digests; None where that depends on a step that must run.
            cost: What it would cost where it must run; empty for its seconds of the last run.

        Returns:
            The record that would be reused; None where the step must run.
        """
        if inputs is None or self.upstream:
            self._run(step, [f"follows {self.upstream}"], inputs, cost)
            return None
        if record := look_up(self.store, step, inputs):
            self.steps.append(Planned(step, "reuse", [], "", record.inputs_digest, record))
            return record
        before = self.last.get(step)
        why = changes(before.inputs, inputs) if before else ["not done in this store yet"]
        self._run(step, why or ["its outputs are no longer whole in the store"], inputs, cost)
        self.upstream = step
        return None

    def follow(self, step: str, run: RunState, cost: str = "") -> StepRecord | None:
        """Plan one step of a run, and hand its outputs to the steps after it.

        Args:
            step: Name of the step.
            run: The run so far; gets the outputs of a record that would be reused.
            cost: What the step would cost where it must run; empty for its seconds of the last run.

        Returns:
            The record that would be reused; None where the step must run.
        """
        if step in self.unknown and not self.upstream:
            self._run(step, [self.unknown[step]], None, cost)
            self.upstream = step
            return None
        record = self.add(step, None if self.upstream else INPUTS[step](run), cost)
        if record:
            run.outputs |= record.outputs
            if step == "label":
                self.work.rows = whole_number(record.outputs.get("rows"))
            if step == "split" and isinstance(rows := record.outputs.get("rows"), dict):
                self.work.train = whole_number(rows.get("train"))
        return record

    def _run(self, step: str, why: list[str], inputs: dict[str, Any] | None, cost: str) -> None:
        planned = Planned(step, "run", why, cost)
        self.steps.append(planned)
        if not cost:
            self.take_time(planned, inputs)

    def take_time(self, planned: Planned, inputs: dict[str, Any] | None) -> None:
        """Note how long a step that must run will take, by the last run's pace.

        Args:
            planned: The step, which gets the seconds, and says so in its cost.
            inputs: What it digests; None where that is not known yet.
        """
        if (time := seconds_for(planned.step, inputs, self.last, self.work)) and time[0]:
            planned.seconds = round(time[0], 1)
            text = f"about {clock(time[0])}, {'by the pace of' if time[1] else 'as'} last time"
            planned.cost = f"{planned.cost}; {text}" if planned.cost else text


def whole_number(value: object) -> int | None:
    """Return a count of a record, whose outputs may hold anything.

    Args:
        value: of any kind.

    Returns:
        The count; None for what is none.
    """
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def last_records(store: Store, name: str) -> dict[str, StepRecord]:
    """Return the step records of a filter's last run.

    Args:
        store: Where runs left their summaries.
        name: Name of the filter.

    Returns:
        Records by step; none where the filter has had no run in this store, or its summary can't be read.
    """
    from distillery.components.artifacts.run_summary import read_last_summary

    try:
        summary = read_last_summary(store, name)
    except StoreError:
        return {}  # only estimates and reasons go by it
    return summary.records if summary else {}


def _calibration(store: Store, flt: Filter, marks: str, waived: str) -> Planned:
    """Plan the calibration. No digest depends on it: labels are the same with and without."""
    from distillery.components.artifacts.rubric_calibration import FREE, UNCALIBRATED, free, read_calibration, usable
    from distillery.components.labeling.oracles.base import oracle_identity

    identity = oracle_identity(flt)
    document = read_calibration(store, flt, identity)
    if waived:
        return Planned("calibrate", "skip", [f"waived: {waived}"])
    if usable(document):
        return Planned("calibrate", "reuse")
    if document is None and not marks and free(identity):
        return Planned("calibrate", "skip", [FREE])
    why = [f"says {document.verdict}" if document else "this rubric is not calibrated with this oracle yet"]
    if not marks:
        why.append(f"without --marks it can't pass, and label then refuses more than {UNCALIBRATED} articles")
    return Planned("calibrate", "run", why, "" if free(identity) else f"at most {UNCALIBRATED} labels, part of those below")


def _price_labels(planned: Planned, work: Work, store: Store, articles: str, path: Path) -> None:
    """Count what the label step would ask about and be billed, from the articles themselves where that takes seconds."""
    from distillery.components.labeling.label import open_journal
    from distillery.components.labeling.oracles.base import oracle_identity
    from distillery.components.labeling.oracles.prices import price_of, read_prices
    from distillery.components.labeling.quote import quote
    from distillery.components.labeling.survey import survey

    flt, prices = work.filter, read_prices()
    assert flt is not None
    short = sum(file.stat().st_size for _, file in shards(path)) <= QUOTED
    priced = price_of(flt, prices) is not None and flt.spec.oracle.provider != "replay"
    if short and priced:
        quoted = quote(store, flt, articles, prices)
        by_batch = flt.spec.oracle.provider in ONLINE
        usd = min(route.usd for route in quoted.routes if not route.unavailable and (route.name == "batch") == by_batch)
        planned.usd, planned.cost = round(usd, 6), f"about ${usd:,.2f} for {quoted.open:,} articles"
        planned.articles, work.rows = quoted.open, quoted.articles - quoted.dead
    elif short:
        found = survey(open_journal(store, flt, oracle_identity(flt)), flt, articles)
        planned.articles, work.rows = found.open, found.articles - found.dead
    work.open = planned.articles
    if flt.spec.oracle.provider == "replay":
        planned.cost = "no paid call: recorded replies"
    elif not planned.cost:
        planned.cost = "paid calls: `distillery label --quote` says how many dollars"


def _oracle_lacks(store: Store, flt: Filter, articles: Path) -> list[str]:
    """Return why the oracle can't be asked from here: no key, no client library, no connection. It is asked nothing."""
    from distillery.components.labeling.oracles.reach import require_oracle
    from distillery.components.labeling.survey import asks
    from distillery.filters.errors import InputError, Stopped

    if flt.spec.oracle.provider == "replay" or not asks(store, flt, str(articles)):
        return []
    try:
        require_oracle(flt)
    except (InputError, Stopped) as error:
        return [f"can't be asked from here: {error}"]
    return []


def _end(run: RunState) -> Planned:
    """Plan how a run ends whose working steps are all reused: nothing is due where the channel is as that end leaves it."""
    from distillery.components.artifacts.channel import read_channel

    decision, adapter, name = run.outputs["decision"], run.outputs["adapter"], run.filter.spec.promotion.channel
    if decision == "reject":
        return Planned("reject", "reuse")
    channel = read_channel(run.store, run.filter.name, name, lenient=True).channel
    serves, blocked = channel.adapter == adapter, channel.block_of(adapter) is not None
    waits = any(candidate.adapter == adapter for candidate in channel.candidates)
    step, pinned = ("promote", channel.pin is not None) if decision == "promote" else ("hold", False)
    if serves or blocked or (waits and (pinned or step == "hold")):
        return Planned(step, "reuse")
    points = f"{name} points at {channel.adapter[:12]}" if channel.adapter else f"{name} points at nothing yet"
    return Planned(step, "run", [points])


def due(steps: list[Planned]) -> list[str]:
    """Return the names of the steps of a plan that must run.

    Args:
        steps: What each step would do.

    Returns:
        Names of steps, in order; none where everything is reused.
    """
    return [step.step for step in steps if step.action == "run"]


def make_plan(run: RunState, *, marks: str = "", waived: str = "", budget: float = 0.0, costs: bool = True) -> list[Planned]:
    """Plan a `distill`. Reads the store and the file that the run starts from; writes and fetches nothing.

    Args:
        run: The run's store, filter and data.
        marks: What the calibration goes by: a path, "reference", "prefilter", or empty.
        waived: Why to label without a calibration that passed; empty where it is not waived.
        budget: US dollars that the labels may cost; 0 for no limit.
        costs: False to work out no price of the labels, and not to ask whether the oracle could be asked.

    Returns:
        What each step would do, in order.

    Raises:
        InputError: The first steps would refuse the input, or the base model cannot be had.
    """
    from distillery.components.student.resolve import NotFetched as BaseNotFetched

    planner = Planner(run.store, last_records(run.store, run.filter.name))
    planner.work.filter = run.filter
    with nothing_fetched():
        try:
            _plan_labels(planner, run, budget, costs=costs)
        except NotFetched as error:
            planner.unknown["label"] = f"{error.where} {error.what}"
            planner.follow("label", run)
    if run.articles:
        planner.steps.insert(0, _calibration(run.store, run.filter, marks, waived))
    run.fetch = False  # gigabytes that nobody asked for
    try:
        _ = run.base  # whoever asks for a plan is told at once that training would fail
    except BaseNotFetched as error:
        planner.unknown["train"] = f"{error.where} {error.what}"
    for step in LOOKED_UP[1:]:
        planner.follow(step, run)
    tell_languages(planner.steps, planner.languages, run)
    if "train" not in planner.unknown:
        tell_memory(planner.steps, run)
    return planner.steps if planner.upstream else [*planner.steps, _end(run)]


def _plan_labels(planner: Planner, run: RunState, budget: float, *, costs: bool) -> None:
    parameter = "--articles" if run.articles else "--labels"
    with local_input(run.articles or run.labels, parameter=parameter) as path:
        run.data = input_digest(path)
        if planner.follow("label", run, "no oracle call: labels exist") is not None:
            return
        planner.work.rows = look(
            run.filter, path, labels=bool(run.labels), max_rejects=run.max_rejects, languages=planner.languages
        )
        if run.articles:
            require_price(run.filter, budget)
        if run.articles and costs:
            planned = planner.steps[-1]
            _price_labels(planned, planner.work, run.store, run.articles, path)
            planner.take_time(planned, INPUTS["label"](run))
            planned.why += _oracle_lacks(run.store, run.filter, path)


def render_plan(steps: list[Planned]) -> str:
    """Return a plan as text.

    Args:
        steps: What each step would do.

    Returns:
        Aligned lines: a step each, its reasons below it, and a last one that sums up.
    """
    lines = []
    for step in steps:
        lines.append(f"{step.step:<10} {step.action:<6} {step.cost}".rstrip())
        lines += [f"{'':<18}{reason}" for reason in step.why]
    runs, seconds = due(steps), sum(step.seconds or 0 for step in steps)
    lines.append("")
    took = f"; about {clock(seconds)} in all, as far as the last run tells" if seconds else ""
    lines.append(f"would run: {', '.join(runs)}{took}" if runs else "nothing to do: every step's result is in the store")
    return "\n".join(lines)
