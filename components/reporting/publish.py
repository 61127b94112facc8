"""Writes a run's report from the records that its steps left in the store, whatever happened in it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import ENDS, RECORDED
from distillery.components.reporting.context import Context
from distillery.components.reporting.gather import gather
from distillery.components.reporting.render import render_html, render_markdown, render_verdict
from distillery.components.store import NotFound, Store, digest_json
from distillery.components.store.layout import (
    events_key,
    failure_key,
    last_summary_key,
    report_key,
    run_record_key,
    summary_key,
)

# A pod that is killed, or does not start, leaves no message, and Kubeflow hands none on.
NO_WORD = "its pod ended without a word (killed, out of memory, or it never started); the pod's events and log say more"


class Pages(NamedTuple):
    html: str
    verdict: str
    record: StepRecord


def _read(store: Store, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(store.get(key))
    except NotFound:
        return None
    return found


def summarise(store: Store, run: str) -> dict[str, Any]:
    """One run in one document: its steps' records, their digests by name, and the failure where there was one."""
    records = [record for step in RECORDED if (record := _read(store, run_record_key(run, step)))]
    summary: dict[str, Any] = {"run": run, "steps": records, "failure": _read(store, failure_key(run))}
    for record in records:
        # A calibration has a verdict of its own, which is not the gates'.
        summary |= {"calibrated": record["outputs"]} if record["step"] == "calibrate" else record["outputs"]
    return summary


def _silent(store: Store, summary: dict[str, Any]) -> str:
    """The step that began, going by its events, and left no record; "" where there is none."""
    done = {record["step"] for record in summary["steps"]}
    began = (step for step in RECORDED if step not in done and store.exists(events_key(summary["run"], step)))
    return next(began, "")


def publish(store: Store, run: str, *, failed: bool, message: str) -> Pages:
    """Renders and stores runs/<run>/report.html and report.md, and the summaries that `plan` and `report` read.

    failed, message: what the runner said of the run; a step's own words go before it, and so does a last step that is done:
    Kubeflow Pipelines 2.14 calls a run RUNNING at its end where a branch of it was not taken.
    """
    summary = summarise(store, run)
    ended = any(record["step"] in ENDS for record in summary["steps"])
    if failed and not ended and summary["failure"] is None:
        summary["failure"] = {"step": _silent(store, summary), "kind": "fault", "message": message or NO_WORD}
    flt = read_filter(store, summary["filter_key"]) if "filter_key" in summary else None
    context: Context = gather(store, flt, summary)
    html = render_html(context)
    store.put(report_key(run), html.encode())
    store.put(report_key(run, "md"), render_markdown(context).encode())
    data = json.dumps(summary, sort_keys=True, indent=1).encode()
    if flt is not None:
        store.put(last_summary_key(flt.name), data)
    if "adapter" in summary:
        store.put(summary_key(summary["adapter"]), data)
    outputs = {"report": report_key(run)}
    record = StepRecord("report", {"run": run}, digest_json(outputs), outputs, [outputs["report"]])
    return Pages(html, render_verdict(context), record)
