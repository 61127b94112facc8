"""The runs of a store: how each ended, of which filter, with which adapter, after how long, for how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from distillery.components.artifacts.run_summary import Failure, RunSummary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import CANDIDATE, ENDS, RECORDED, SELECT, SELECTION
from distillery.components.store import Entry, Store
from distillery.components.store.layout import RUNS, cancelled_key, failure_key, report_key, run_record_key
from distillery.pipelines.inventory.reading import Reader, Row, amount, dollars, each, moment, text
from distillery.pipelines.results import outcome_of

UNFINISHED = "unfinished"
SCORE = "score"  # the one step of the score pipeline
READ = ("preflight", "label", "benchmark", "gate", *ENDS, SCORE, SELECT)  # what a row needs of a run
# What a run came to, by `outcome_of`.
OUTCOMES = {
    "promote": "promoted",
    "approve": "candidate",
    "reject": "rejected",
    "pinned": "pinned",
    "blocked": "blocked",
    "refused": "blocked",
    "superseded": "superseded",
}


def run_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each run.

    Args:
        store: the store.
        filter: name of a filter, to leave others out, and runs that ended before they read theirs; empty for all.

    Returns:
        Rows, the newest run first.
    """
    objects: dict[str, list[Entry]] = defaultdict(list)
    for entry in store.entries(RUNS):
        _, run, *rest = entry.key.split("/")
        if rest:  # else a claim
            objects[run].append(entry)
    newest = sorted(objects, key=lambda run: (min(entry.modified for entry in objects[run]), run), reverse=True)
    rows = each(newest, lambda run: _row(store, run, objects[run]))
    return [row for row in rows if filter in ("", row["filter"])]


def _row(store: Store, run: str, objects: list[Entry]) -> Row:
    there = {entry.key for entry in objects}
    reader = Reader()
    records: dict[str, StepRecord] = {}
    for step in READ:
        if (key := run_record_key(run, step)) in there and (
            record := reader.read(lambda key=key: StepRecord.load(store, key))  # type: ignore[misc]
        ):
            records[step] = record
    failure = reader.read(lambda: Failure.load(store, failure_key(run))) if failure_key(run) in there else None
    outputs = {name: value for record in records.values() for name, value in record.outputs.items()}
    outcome, why = _outcome(records, failure)
    if outcome == UNFINISHED and cancelled_key(run) in there:
        outcome = "cancelled"
    tried = sorted(name for key in there if (name := PurePosixPath(key).stem).startswith(f"{CANDIDATE}-"))
    ordered = dict.fromkeys((*SELECTION[:2], *RECORDED, *tried, SCORE, SELECT))
    steps = [step for step in ordered if run_record_key(run, step) in there]
    if outcome == UNFINISHED and steps:
        why = f"after {steps[-1]}"
    label, benchmark = records.get("label"), records.get("benchmark")
    began = min(entry.modified for entry in objects)
    return {
        "name": run,
        "filter": text(outputs.get("name")) or text(outputs.get("filter")),
        "outcome": outcome,
        "adapter": text(outputs.get("adapter")),
        "channel": text(outputs.get("channel")),
        "mae": amount(benchmark.facts.get("mae")) if benchmark else None,
        "usd": dollars(label.facts if label else None),
        "seconds": round(max(entry.modified for entry in objects) - began),
        "steps": steps,
        "on": text(records["preflight"].facts.get("on")) if "preflight" in records else None,
        "reason": why,
        "report": f"{store.uri}/{report_key(run)}" if report_key(run) in there else None,
        "modified": moment(began),
        "error": reader.error,
    }


def outcome_of_summary(summary: RunSummary) -> tuple[str, str]:
    """Return what a run came to, and why.

    Args:
        summary: of the run.

    Returns:
        promoted, candidate, rejected, pinned, blocked, failed, waiting, stopped or unfinished; and the reason, "" for none.
    """
    return _outcome(summary.records, summary.failure)


def _outcome(records: Mapping[str, StepRecord], failure: Failure | None) -> tuple[str, str]:
    """Return what a run came to, and why.

    The store doesn't tell a run that goes on from one that was killed: both are unfinished.
    """
    if SELECT in records:  # whatever failed before, in an earlier attempt
        return "selected", str(records[SELECT].outputs.get("chosen", ""))
    if failure is not None:
        name = {"waiting": "waiting", "stopped": "stopped"}.get(failure.kind, "failed")
        return name, f"{failure.step}: {failure.message}" if failure.step else failure.message
    if SCORE in records:
        return "scored", ""
    ends = [records[step] for step in ENDS if step in records]
    if ends:
        outputs = {**(records["gate"].outputs if "gate" in records else {}), **ends[0].outputs}
        outputs.setdefault("decision", {"promote": "promote", "hold": "approve"}.get(ends[0].step, "reject"))
        held, reasons = outputs.get("held"), outputs.get("reasons")
        held = held if isinstance(held, dict) else {}
        outcome = outcome_of({**outputs, "held": held})
        word = " ".join(str(held[name]) for name in ("by", "reason") if held.get(name))
        return OUTCOMES.get(outcome, outcome), "; ".join(map(str, reasons)) if isinstance(reasons, list) else word
    return UNFINISHED, ""


def run_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of a run beside its row.

    Args:
        store: the store.
        row: of the run.

    Returns:
        Each step with its seconds, whether it was reused, and what it put out; what the run was asked for.
    """
    reader, run = Reader(), row["name"]
    steps: dict[str, Row] = {}
    request = None
    for step in row["steps"]:
        key = run_record_key(run, step)
        record = reader.read(lambda key=key: StepRecord.load(store, key))  # type: ignore[misc]
        if record is None:
            continue
        if step == "preflight":
            request = record.facts.get("request")
        steps[step] = {"seconds": record.seconds, "reused": record.reused, "outputs": record.outputs}
    return {"request": request, "results": steps}
