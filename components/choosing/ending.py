"""How a selection on a cluster ended, whatever happened in it: what was trained, and what was chosen or why nothing was.

The summary that `plan` and `report` read is of a filter's last run of `distill`; a selection leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import SELECT, SELECTION
from distillery.components.choosing.sheet import selection_sheet, sentence
from distillery.components.choosing.steps import read_selected
from distillery.components.reporting.formatting import capital, count, duration, goes_on, number, stopped
from distillery.components.reporting.publish import NO_WORD, Pages, failure_of, records_of, untold_failure
from distillery.components.reporting.sheet import Cell, Sheet, Table, sheet_html, sheet_markdown
from distillery.components.runtime.events import Failed, read_event
from distillery.components.runtime.notify import Ended
from distillery.components.store import Store, StoreError, TooLarge
from distillery.components.store.layout import events_key, report_key, selection_key

NAMED = 6  # candidates in a sentence; the page has all of them
FAILED = "failed: "


def publish_selection(store: Store, run: str, *, message: str) -> Pages:
    """Write the page of a run that was to select a student.

    After a choice it is the page of `select-student --out`, else one that says why there is none.

    Args:
        store: where the run's steps left their records.
        run: name of the run.
        message: what the runner said of a failure, "" for nothing.

    Returns:
        The page as HTML and as Markdown, the record of the step, and how the run ended.

    Raises:
        StoreError: a record, the failure or the selection cannot be read.
    """
    records = records_of(store, run, SELECTION)
    tried = _tried(records)
    records |= records_of(store, run, tried)
    name = str(records["preflight"].outputs.get("name", "")) if "preflight" in records else ""
    told = Ended(name, run, "failed", "", "", f"{store.uri}/{report_key(run)}")
    chosen = records.get(SELECT)
    if chosen is not None:  # an earlier attempt of the run may have left a failure
        selected = read_selected(store, chosen)
        sheet = selection_sheet(selected)
        where = f"{store.uri}/{selection_key(name, selected.digest)}"
        text = f"{sentence(selected.selection)} {_trained(tried, records)} The selection: {where}"
        told = told._replace(verdict="selected", sentence=text, adapter=str(chosen.outputs["adapter"]))
    else:
        steps = (*SELECTION[:-1], *tried, SELECT)
        failure = failure_of(store, run) or untold_failure(store, run, steps, records, message)
        sheet = _stopped_sheet(store, run, name, failure, tried, records)
        told = told._replace(sentence=sheet.sentence)
    pages = {"html": sheet_html(sheet), "md": sheet_markdown(sheet)}
    for suffix, page in pages.items():
        store.put(report_key(run, suffix), page.encode())
    record = StepRecord.of("report", {"run": run}, {"report": report_key(run)}, [report_key(run)])
    return Pages(pages["html"], pages["md"], record, told)


def _tried(records: Mapping[str, StepRecord]) -> dict[str, str]:
    """Return the candidates' names by step; none where the run stopped before they were read."""
    found = records["candidates"].outputs.get("candidates") if "candidates" in records else None
    return {step: str(name) for step, name in found.items()} if isinstance(found, dict) else {}


def _named(failure: Failure, tried: Mapping[str, str]) -> Failure:
    """Return the failure with its candidate's name beside its step."""
    step = f"{failure.step} ({tried[failure.step]})" if failure.step in tried else failure.step
    return failure.model_copy(update={"step": step})


def _trained(tried: Mapping[str, str], records: Mapping[str, StepRecord]) -> str:
    done = [name for step, name in tried.items() if step in records]
    if not done:
        return "No candidate was trained."
    return f"{count(len(done))} of {count(len(tried))} candidates are trained: {_listed(done)}."


def _listed(names: Sequence[str]) -> str:
    more = f" and {count(len(names) - NAMED)} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _stopped_sheet(
    store: Store, run: str, name: str, failure: Failure, tried: Mapping[str, str], records: Mapping[str, StepRecord]
) -> Sheet:
    states = {step: _state(store, run, step) for step in tried if step not in records}
    others = [tried[step] for step, state in states.items() if state.text.startswith(FAILED) and step != failure.step]
    told = [stopped(_named(failure, tried)), f"Failed, too: {_listed(others)}." if others else "", _trained(tried, records)]
    some = any(step in records for step in tried)
    told.append("None was chosen." if some else "")  # else it goes without saying
    rows: list[Sequence[Cell | str]] = []
    for step, candidate in tried.items():
        record = records.get(step)
        if record is None:
            rows.append([candidate, step, states[step], *["–"] * 3])
            continue
        mae, seconds = (record.facts.get(fact) for fact in ("validation_mae", "training_seconds"))
        rows.append(
            [
                candidate,
                step,
                Cell("reused" if record.reused else "trained", "good"),
                str(record.outputs.get("adapter", ""))[:12],
                number(mae, 3) if isinstance(mae, (int, float)) else "–",
                duration(seconds) if isinstance(seconds, (int, float)) else "–",
            ]
        )
    return Sheet(
        eyebrow="Selection of a student",
        title=name or "No filter was read",
        sentence=" ".join(part for part in told if part),
        tone="bad",
        notes=_notes(failure, finished=bool(records), trained=some),
        tables=[
            Table(
                "Candidates",
                ["Candidate", "Step", "State", "Adapter", "Error", "Training"],
                rows,
                "Error on validation as the training told it, in points of 10.",
                left=4,
            )
        ],
        footer=f"Run {run}, in {store.uri}.",
    )


def _notes(failure: Failure, *, finished: bool, trained: bool) -> list[str]:
    """Return how to go on."""
    notes = ["Mend that before you submit again."] if failure.kind == "input" else []
    if finished:
        more = ", and what is trained is not trained again" if trained else ""
        notes.append(capital(goes_on("submission")) + more + ".")
    return notes


def _state(store: Store, run: str, step: str) -> Cell:
    """Return what is known of a candidate that left no record."""
    key = events_key(run, step)
    try:
        found = store.current(key, max_bytes=1 << 20)
    except TooLarge:  # events are for eyes only
        return Cell("unknown")
    if not found:
        return Cell("not begun")
    for line in reversed(found[0].splitlines()):
        try:
            event = read_event(line, f"{store.uri}/{key}")
        except StoreError:  # torn
            continue
        if isinstance(event, Failed):
            return Cell(f"{FAILED}{event.message}", "bad")
    return Cell(NO_WORD, "bad")
