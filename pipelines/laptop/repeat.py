"""A run of which everything is reused, in this process: no graph is compiled, and no model is loaded.

It leaves what the graph leaves: the same records, events, summaries and report, and the channel as it is.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import WORK
from distillery.components.preflight.request import RunRequest
from distillery.components.runtime.progress import EVENTS
from distillery.components.runtime.step import RUN, Step, step_context
from distillery.pipelines.laptop.logs import LOG, mark
from distillery.pipelines.laptop.run import FEED
from distillery.pipelines.steps import RunState

ENDS: Final = {"promote": "promote", "approve": "hold", "reject": "reject"}  # the step that each decision of the gates leads to


def repeat(request: RunRequest, state: RunState, records: Mapping[str, StepRecord], *, run: str, scratch: Path) -> None:
    """Do a run whose working steps are all reused. What fails is in the run's events and in its store.

    Args:
        request: The run's arguments, with absolute paths and a store.
        state: The run as it was planned, with the outputs of its steps.
        records: The records that are reused, by step.
        run: The run's name.
        scratch: An empty folder of the run's own: gets its events and the log.
    """
    with ExitStack() as stack:
        log = stack.enter_context(open(scratch / LOG, "a", encoding="utf-8"))
        stack.enter_context(redirect_stdout(log))
        stack.enter_context(redirect_stderr(log))
        stack.enter_context(_environment({RUN: run, EVENTS: str(scratch / FEED)}))
        failed = not _told(lambda: _steps(request, state, records, _Opener(run, scratch / LOG, log)))
        _told(lambda: _report(request.store, _Opener(run, scratch / LOG, log), failed))


@dataclass(frozen=True)
class _Opener:
    """Opens the steps of a run, and notes in its log where each begins.

    Attributes:
        run: The run's name.
        path: Where its log is.
        log: The log, which gets what this process prints.
    """

    run: str
    path: Path
    log: TextIO

    def open(self, name: str, store: str, filter_key: str) -> AbstractContextManager[Step]:
        self.log.flush()
        mark(self.path, name)
        return step_context(name, store, filter_key, self.run)


def _steps(request: RunRequest, state: RunState, records: Mapping[str, StepRecord], steps: _Opener) -> None:
    from distillery.components.auditing.audit import audit
    from distillery.components.preflight.preflight import preflight

    with steps.open("preflight", request.store, "") as step:
        key = str(step.keep(preflight(step.store, request)).outputs["filter_key"])
    if state.articles:
        with steps.open("calibrate", request.store, key) as step:
            step.keep(_calibrated(request, state, step))
    for name in WORK:
        with steps.open(name, request.store, key) as step:
            if name == "audit":  # a finding of a reused audit stops the run as that of a new one does
                audit(step.store, state.filter, label_set=state.outputs["label_set"], progress=step.progress, keep=step.keep)
            else:
                step.keep(records[name])
    with steps.open(ENDS[state.outputs["decision"]], request.store, key) as step:
        step.keep(_end(state, step))


def _calibrated(request: RunRequest, state: RunState, step: Step) -> StepRecord:
    from distillery.components.calibration.calibrate import calibrate

    return calibrate(
        step.store,
        state.filter,
        articles=state.articles,
        marks=request.marks,
        waived=request.without_calibration,
        budget=request.budget or None,
        once=True,
        progress=step.progress,
    )


def _end(state: RunState, step: Step) -> StepRecord:
    from distillery.components.promotion.promote import hold, promote, reject
    from distillery.components.registries.follow import follow_channel

    verdict = state.outputs["verdict"]
    if step.name == "reject":
        return reject(step.store, state.filter, verdict=verdict)
    work = promote if step.name == "promote" else hold
    record = work(step.store, state.filter, verdict=verdict, filter_key=step.filter_key, run=step.run, progress=step.progress)
    follow_channel(step.store, state.filter, progress=step.progress)
    return record


def _report(store: str, steps: _Opener, failed: bool) -> None:
    from distillery.components.reporting.publish import publish
    from distillery.components.runtime.notify import tell

    with steps.open("report", store, "") as step:
        pages = publish(step.store, step.run, failed=failed, message="")
        step.keep(pages.record)
        tell(pages.ended, step.progress)


def _told(work: Callable[[], None]) -> bool:
    """True if the work came to its end; a step that failed has told whoever watches, and a defect is in the log."""
    try:
        work()
    except SystemExit:
        return False
    except Exception:
        traceback.print_exc()
        return False
    return True


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
