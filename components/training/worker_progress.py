"""Progress of a training in other processes: its events are read from a file in one pod, from a pod's log elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distillery.components.runtime.events import Measured, Noted, Progressed, read_event
from distillery.components.runtime.progress import Progress
from distillery.components.store import StoreError
from distillery.filters.errors import Stopped
from distillery.filters.strict_json import loads

SECONDS = 2.0  # between a worker's events: its log is read whole
AGAIN = "start the training again: it goes on from its last checkpoint"


class LostOthers(Stopped):
    """A worker's end that follows from another's: a peer is gone, or silent for too long."""


def relay_line(line: str, progress: Progress) -> dict[str, Any]:
    """Pass on what one line of a worker says.

    Args:
        line: an event as `runtime.progress.Reporter` writes it, or anything else that a log may hold.
        progress: told of the event, if it is one of progress or a note.

    Returns:
        The fields of the line; empty if it is no JSON object.
    """
    try:
        fields = loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    with suppress(StoreError):  # a log holds other lines, too
        event = read_event(line.encode(), "a worker's log")
        if isinstance(event, Progressed):
            progress(event.done, event.total, event.unit, **event.facts)
        elif isinstance(event, Measured):
            progress.figures(event.done, event.figures)
        elif isinstance(event, Noted):
            progress.note(event.text)
    return fields


@contextmanager
def follow_file(path: Path, progress: Progress) -> Iterator[None]:
    """Relay what is appended to a file while the block runs, from a thread of its own.

    Args:
        path: the file; made if absent.
        progress: told of each event.

    Yields:
        Once the thread has started; it reads what is left before the block is left.
    """
    path.touch()
    ended = threading.Event()

    def read() -> None:
        rest = ""
        with path.open(encoding="utf-8") as file:
            while True:
                last = ended.wait(0.5)
                *whole, rest = (rest + file.read()).split("\n")
                for line in whole:
                    relay_line(line, progress)
                if last:
                    return

    thread = threading.Thread(target=read, name="training progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
