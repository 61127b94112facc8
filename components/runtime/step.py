"""What every step of a run needs: its store, its filter, its progress, and the place where it leaves its record.

A component is then a signature and one call. Records lie under runs/<run>/<step>.json for the report that ends a run,
whatever happened in it. On a laptop DISTILLERY_RUN names a run and DISTILLERY_PARAMETERS the file of its parameters; on a
cluster Kubeflow does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import Cause, Failure, remember_adapter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.remote.retry import is_outage
from distillery.components.runtime.events import Done, Failed, Started
from distillery.components.runtime.exit_codes import ExitCode
from distillery.components.runtime.outside_errors import told
from distillery.components.runtime.progress import Reporter, printable, reporter
from distillery.components.runtime.settings import limit_threads, load_settings, stated
from distillery.components.store import Store, in_bucket, open_store
from distillery.components.store.layout import events_key, failure_key, run_record_key
from distillery.filters.errors import InputError, OverBudget, Stopped, Waiting
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

RUN = "DISTILLERY_RUN"
PARAMETERS = "DISTILLERY_PARAMETERS"
STORE = "DISTILLERY_STORE"
EXIT_CODES: Final[dict[Cause, ExitCode]] = {
    "input": ExitCode.INPUT,
    "waiting": ExitCode.WAITING,
    "stopped": ExitCode.FAILED,
    "fault": ExitCode.FAILED,
}
JUDGES = ("benchmark", "gate")  # steps whose record belongs to an adapter, as that of the step that trains it does
LAST_WORDS = Path("/dev/termination-log")  # what a pod writes here, Kubernetes and Kubeflow's UI show as the task's error


def store_of_step(uri: str) -> Store:
    """Return the store of a step.

    Args:
        uri: its address; empty for the one that DISTILLERY_STORE names.

    Returns:
        The store.

    Raises:
        InputError: there is none, a pod cannot reach it, or it cannot be opened; it names the parameter "store".
    """
    where = stated("store", uri) or os.environ.get(STORE, "")
    if not where:
        raise InputError("is empty, and this cluster names no default", where="store", hint="write s3://bucket/prefix")
    if in_a_pod() and not in_bucket(where):
        raise InputError("lies in the pod and is gone with it", where=f"store {where}", hint="write s3://bucket/prefix")
    try:
        return open_store(where)
    except InputError as error:
        raise InputError(error.what, where=f"store {error.where or where}", hint=error.hint) from error.__cause__


def in_a_pod() -> bool:
    """True if this process runs in a pod of Kubernetes.

    Returns:
        Whether Kubernetes named its service in the environment.
    """
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def on_cluster() -> bool:
    """True if each step of this run is a pod of its own.

    A run in the pod of a notebook is a laptop's run: DISTILLERY_RUN names it.

    Returns:
        Whether this process is a pod of a run.
    """
    return in_a_pod() and not os.environ.get(RUN)


def say_last(message: str) -> None:
    """Write the message where Kubernetes reads a pod's last words; outside a pod do nothing.

    Args:
        message: text for people; the first 2,000 characters are written.
    """
    with suppress(OSError):
        if in_a_pod() and LAST_WORDS.is_file():
            LAST_WORDS.write_text(message[:2000], encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """A step that runs.

    Attributes:
        name: of the step.
        store: where it reads and writes.
        run: name of the run.
        progress: tells whoever watches.
        filter_key: key of the published filter, "" before there is one.
    """

    name: str
    store: Store
    run: str
    progress: Reporter
    filter_key: str = ""

    @property
    def by_file(self) -> bool:
        """True if the run's parameters are in a file, and the graph hands on none of what a user wrote."""
        return bool(os.environ.get(PARAMETERS))

    def parameters(self, **handed: Any) -> dict[str, Any]:
        """Return parameters of the run.

        Args:
            handed: what the graph handed on, by name of the pipeline's parameter.

        Returns:
            The same names, with the values of the run's file where there is one; a parameter that is null is an empty one.
        """
        written = loads(Path(os.environ[PARAMETERS]).read_bytes()) if self.by_file else handed
        return {name: stated(name, written[name]) for name in handed}

    @property
    def filter(self) -> Filter:
        """Return the run's filter, read anew and verified."""
        return read_filter(self.store, self.filter_key)

    def keep(self, record: StepRecord) -> StepRecord:
        """Write the record where the report finds it, and send the event that the step is done.

        Args:
            record: the step's record.

        Returns:
            The same record.
        """
        record.put(self.store, run_record_key(self.run, self.name))
        adapter = record.outputs.get("adapter") or record.inputs.get("adapter")
        if record.step in JUDGES and self.filter_key and isinstance(adapter, str):
            remember_adapter(self.store, self.filter_key, adapter, record)
        self.progress.event(Done(at=time.time(), step=self.name, record=record))
        return record

    def describe(self, artifact: Any, record: StepRecord, digest: str, key: str = "") -> None:
        """Make a KFP output artifact of what the step yields: the record as its content, digest and address as its metadata.

        The bytes stay in the store.

        Args:
            artifact: the output artifact that KFP handed the component.
            record: the step's record.
            digest: digest of what the step yields.
            key: where it is in the store; by default the first object that the record names.
        """
        address = f"{self.store.uri}/{key or record.keys[0]}"
        Path(artifact.path).write_text(json.dumps({"address": address, **record.to_json()}, indent=1), encoding="utf-8")
        plain = {name: value for name, value in record.outputs.items() if isinstance(value, (str, int, float))}
        artifact.metadata.update({**plain, "digest": digest, "store": self.store.uri, "address": address, "step": record.step})

    def fail(self, cause: Cause, message: str, *, limit: float | None = None) -> None:
        """Write the failure where the report finds it, and send the event that the step failed.

        Args:
            cause: whose fault it is, as `cause_of` returns it.
            message: one line for people.
            limit: the budget that was reached, in US dollars; None where that was not the reason.
        """
        self.progress.event(Failed(at=time.time(), step=self.name, cause=cause, message=message))
        Failure(step=self.name, kind=cause, message=message, limit=limit).put(self.store, failure_key(self.run))


def cause_of(error: Exception) -> Cause:
    """Return what an error asks for.

    Args:
        error: what the step raised.

    Returns:
        "input" for what a person must mend, "waiting" for what needs a person's word, "stopped" for what may be tried again
        as it is, "fault" for a defect of this program.
    """
    if isinstance(error, Waiting):
        return "waiting"
    if isinstance(error, InputError):
        away = error.__cause__ is not None and is_outage(error.__cause__)  # a store, for longer than we have patience
        return "stopped" if away else "input"
    return "stopped" if isinstance(error, Stopped) else "fault"


def _message(error: Exception, cause: str) -> str:
    """Return what a person reads of an error: on a cluster with the names of a form's fields, else with options."""
    if cause == "fault":
        return f"{type(error).__name__}: {error}"
    return error.for_form() if isinstance(error, InputError) and on_cluster() else str(error)


@contextmanager
def step_context(name: str, store: str, filter_key: str, run: str) -> Iterator[Step]:
    """Open a step; record its failure where it fails.

    Bad input ends the process with exit code 2 and one line, what waits for a person with 4, a step that stopped itself with
    1, anything else with its traceback.

    Args:
        name: of the step.
        store: URI of the store, empty for DISTILLERY_STORE.
        filter_key: key of the published filter, "" before there is one.
        run: name of the run, where DISTILLERY_RUN does not give one.

    Yields:
        The open step.

    Raises:
        SystemExit: the input was bad (code 2), or the step stopped itself (code 1).
    """
    load_settings()
    if in_a_pod():
        limit_threads()
    run = os.environ.get(RUN) or run
    progress = reporter(name)
    step: Step | None = None
    try:
        opened = store_of_step(store)
        progress.share(lambda data: opened.put(events_key(run, name), data))
        progress.event(Started(at=time.time(), step=name))
        step = Step(name, opened, run, progress, filter_key)
        yield step
    except Exception as raised:
        error = told(raised) or raised
        cause = cause_of(error)
        message = printable(_message(error, cause))
        try:
            if step is None:
                progress.event(Failed(at=time.time(), step=name, cause=cause, message=message))
            else:
                step.fail(cause, message, limit=error.limit if isinstance(error, OverBudget) else None)
        except Exception as second:  # the store may be what failed
            failed = Failed(at=time.time(), step=name, cause=cause, message=message, second=printable(str(second)))
            progress.event(failed)
        say_last(f"{name}: {message}")
        if cause != "fault":
            print(f"error: {message}", flush=True)
            raise SystemExit(EXIT_CODES[cause]) from None
        raise
    finally:
        progress.close()
