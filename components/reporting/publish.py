"""Write a run's report from the records that its steps left in the store, whatever happened in it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple, TypeVar

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import Failure, RunSummary, put_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import ENDS, RECORDED
from distillery.components.reporting.formatting import decision, sentence
from distillery.components.reporting.gather import gather
from distillery.components.reporting.render import render_html, render_markdown, render_verdict
from distillery.components.runtime.notify import Ended
from distillery.components.store import NotFound, Store
from distillery.components.store.layout import events_key, failure_key, report_key, run_record_key

D = TypeVar("D", bound=Document)


# A pod that is killed, or does not start, leaves no message, and Kubeflow hands none on.
NO_WORD = "its pod ended without a word (killed, out of memory, or it never started); the pod's events and log say more"


class Pages(NamedTuple):
    """A report as the exit step hands it on.

    Attributes:
        html: the page.
        verdict: the verdict in brief, as Markdown.
        record: of the step.
        ended: how the run ended, for whoever is notified.
    """

    html: str
    verdict: str
    record: StepRecord
    ended: Ended


def summarise(store: Store, run: str) -> RunSummary:
    """Return one run in one document: its steps' records in order, and the failure where there was one.

    Args:
        store: where the run's steps left their records.
        run: name of the run.

    Returns:
        The summary; steps that left no record are not in it.

    Raises:
        StoreError: a record or the failure cannot be read.
    """
    return RunSummary(run=run, steps=[*records_of(store, run, RECORDED).values()], failure=failure_of(store, run))


def records_of(store: Store, run: str, steps: Iterable[str]) -> dict[str, StepRecord]:
    """Return what the steps of a run recorded.

    Args:
        store: where they left it.
        run: name of the run.
        steps: their names in the run.

    Returns:
        Records by step, in that order; steps that left none are not in it.

    Raises:
        StoreError: a record cannot be read.
    """
    found = ((step, _read(StepRecord, store, run_record_key(run, step))) for step in steps)
    return {step: record for step, record in found if record}


def failure_of(store: Store, run: str) -> Failure | None:
    """Return why a run stopped, as a step of it told.

    Args:
        store: where the step left it.
        run: name of the run.

    Returns:
        The failure; None where no step told one.

    Raises:
        StoreError: it cannot be read.
    """
    return _read(Failure, store, failure_key(run))


def untold_failure(store: Store, run: str, steps: Iterable[str], done: Container[str], message: str) -> Failure:
    """Return why a run stopped in which no step told a failure.

    Args:
        store: where its steps left their events.
        run: name of the run.
        steps: its steps, in order.
        done: those that left a record.
        message: what the runner said of it, "" for nothing.

    Returns:
        A failure of the step that began, going by its events, and left no record; of no step where there is none.
    """
    began = (step for step in steps if step not in done and store.exists(events_key(run, step)))
    return Failure(step=next(began, ""), kind="fault", message=message or NO_WORD)


def _read(form: type[D], store: Store, key: str) -> D | None:
    try:
        return form.load(store, key)
    except NotFound:
        return None


def publish(store: Store, run: str, *, failed: bool, message: str) -> Pages:
    """Write the report of a run as HTML and Markdown, and the summaries that `plan` and `report` read.

    A step's own words go before the runner's, and so does a last step that is done: Kubeflow Pipelines 2.14 calls a run
    RUNNING at its end where a branch of it was not taken.

    Args:
        store: where the run's steps left their records.
        run: name of the run.
        failed: True if the runner says that the run failed.
        message: what the runner said of it, "" for nothing.

    Returns:
        The page, the verdict in brief, and the record of the step.

    Raises:
        StoreError: a record, the failure or the filter cannot be read.
    """
    summary = summarise(store, run)
    ended = any(record.step in ENDS for record in summary.steps)
    if failed and not ended and summary.failure is None:
        failure = untold_failure(store, run, RECORDED, summary.records, message)
        summary = summary.model_copy(update={"failure": failure})
    flt = read_filter(store, summary.filter_key) if summary.filter_key is not None else None
    context = gather(store, flt, summary)
    html = render_html(context)
    store.put(report_key(run), html.encode())
    store.put(report_key(run, "md"), render_markdown(context).encode())
    put_summary(store, summary, name=flt.name if flt else None)
    outputs = {"report": report_key(run)}
    record = StepRecord.of("report", {"run": run}, outputs, [outputs["report"]])
    told = Ended(
        filter=flt.name if flt else "",
        run=run,
        verdict=decision(context),
        sentence=sentence(context),
        adapter=summary.adapter or "",
        report=f"{store.uri}/{report_key(run)}",
    )
    return Pages(html, render_verdict(context), record, told)
