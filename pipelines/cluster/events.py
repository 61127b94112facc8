"""The events of a run on a cluster, followed to its end.

The store says what happened (records, events, failure), Kubeflow where the run stands. So a follower may start late, lose its
connection or go away without harm to the run. Following costs some three small requests every 3 s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import ENDS, SELECTION, WATCHED
from distillery.components.remote.retry import is_outage, retry
from distillery.components.runtime.events import Done, Event, Noted, read_event
from distillery.components.store import NotFound, Store, StoreError, canonical_json, open_store
from distillery.components.store.layout import cancelled_key, events_folder, failure_key, run_record_key
from distillery.pipelines.cluster.kubeflow import ENDED, Kubeflow, cancelled, tasks
from distillery.pipelines.inventory.runs import SCORE
from distillery.pipelines.run_view import Watched

POLL_SECONDS = 3.0
SLOW_SECONDS = 60.0
T = TypeVar("T")
D = TypeVar("D", bound=Document)


def retry_forever(request: Callable[[], T]) -> T:
    """Return what a request of the store returns, retried through an outage of any length.

    Whoever follows a run may wait, and ends it with Ctrl-C.

    Args:
        request: Asks the store.

    Returns:
        Its answer.

    Raises:
        StoreError: The store refuses.
    """

    def once() -> T:
        try:
            return request()
        except StoreError as error:
            if error.__cause__ is not None and is_outage(error.__cause__):
                raise ConnectionError("the store") from error
            raise

    return retry("the store", once, seconds=math.inf)


class ClusterRun:
    """A run's events, from the store where its steps leave them and from Kubeflow where no step has spoken.

    Args:
        kubeflow: Where the run runs.
        store: The run's store.
        run: The run's id.
    """

    def __init__(self, kubeflow: Kubeflow, store: Store, run: str) -> None:
        self.kubeflow, self.store, self.run = kubeflow, store, run
        self.state, self.cancelled, self.tasks = "", False, dict[str, str]()
        self._asked, self._final = 0.0, False
        self._seen: dict[str, int] = {}
        self._done: set[str] = set()
        self._since: dict[str, float] = {}

    def ended(self) -> bool:
        """True if Kubeflow calls the run ended.

        Returns:
            Whether nothing more will happen.
        """
        return self.state in ENDED

    def events(self) -> Iterator[Event]:
        """Yield what has happened since the last call; nothing where that is less than POLL_SECONDS ago.

        Yields:
            Events, oldest first.
        """
        now = time.monotonic()
        if self._final or (now - self._asked < POLL_SECONDS and not self.ended()):
            return
        self._final = self.ended()
        yield from retry_forever(self._from_store)
        record = self.kubeflow.get(self.run, seconds=math.inf)
        self.cancelled, self.tasks = cancelled(record), tasks(record)
        if not self._final:
            yield from self._slow_pods()
        self.state = str(record.state)
        self._asked = time.monotonic()

    def _from_store(self) -> list[Event]:
        events: list[Event] = []
        for key in self.store.keys(events_folder(self.run)):
            name = key.rsplit("/", 1)[-1].removesuffix(".jsonl")
            if name in self._done or not (found := self.store.current(key, max_bytes=1 << 20)):
                continue
            rows = [row for line in found[0].splitlines() if (row := _event(line, f"{self.store.uri}/{key}"))]
            events += [row for row in rows if row.n > self._seen.get(name, 0)]
            self._seen[name] = rows[-1].n if rows else 0
            if rows and rows[-1].kind in ("done", "failed"):
                self._done.add(name)
        return sorted(events, key=lambda event: event.at)

    def _slow_pods(self) -> Iterable[Event]:
        """Yield a note for each pod that does not start (no image, no room): it leaves no event of its own."""
        now = time.monotonic()
        for name, state in self.tasks.items():
            if state == "RUNNING" and name in (*WATCHED, *SELECTION, SCORE) and name not in self._seen:
                since = self._since.setdefault(name, now)
                if now - since > SLOW_SECONDS:
                    self._since[name] = float("inf")
                    text = f"no word from its pod for {SLOW_SECONDS:.0f} s (waiting for room, or for an image?)"
                    yield Noted(at=time.time(), step=name, text=text)


def mark_cancelled(store: str, run: str) -> None:
    """Record in the run's store that somebody ends it: Kubeflow forgets that where a pod reports at the same moment.

    Args:
        store: URI of the run's store.
        run: The run's id.
    """
    open_store(store).put(cancelled_key(run), canonical_json({"at": time.time()}))


def settle(source: ClusterRun, watched: Watched) -> None:
    """Take what an ended run left behind into the view: records and the failure, also where no event arrived.

    Args:
        source: The run, followed to its end.
        watched: The view; changed in place.
    """
    names = [*watched.steps, *ENDS, "report"]
    for name in dict.fromkeys(names):
        record = _read(StepRecord, source.store, run_record_key(source.run, name))
        if record is not None and not (name in watched.steps and watched.steps[name].record):
            watched.take(Done(at=time.time(), step=name, record=record))
    failure = _read(Failure, source.store, failure_key(source.run))
    if failure is not None:
        watched.failure = failure
    elif source.state == "SUCCEEDED":
        return  # also where somebody cancelled it too late
    elif source.cancelled or retry_forever(lambda: source.store.exists(cancelled_key(source.run))):
        watched.failure = Failure(step="run", kind="stopped", message="was cancelled")
    elif watched.failure is None:
        broken = [name for name, state in source.tasks.items() if state == "FAILED" and name in watched.steps]
        message = "its pod ended without a word (deleted, evicted, or out of memory)"
        watched.failure = Failure(step=broken[0] if broken else "run", kind="fault", message=message)


def _event(line: bytes, where: str) -> Event | None:
    """Return the event of a line; None where it is torn, since events are for eyes only."""
    try:
        return read_event(line, where)
    except StoreError:
        return None


def _read(form: type[D], store: Store, key: str) -> D | None:
    try:
        return retry_forever(lambda: form.load(store, key))
    except NotFound:
        return None
