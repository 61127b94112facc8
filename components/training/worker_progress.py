"""Progress of a training in other processes, as JSON lines: through a file in one pod, through a pod's log elsewhere."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from distillery.components.runtime.progress import Progress

SECONDS = 2.0
AGAIN = "start the training again: it goes on from its last checkpoint"


class Lines(Progress):
    """Writes progress as JSON lines to `stream`, one every two seconds at most, notes at once."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream, self._said = stream or sys.stdout, 0.0

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        if time.monotonic() - self._said >= SECONDS or done == total:
            self._said = time.monotonic()
            self._say({"progress": [done, total, unit], "facts": facts})

    def note(self, text: str) -> None:
        self._say({"note": text})

    def _say(self, row: dict[str, Any]) -> None:
        print(json.dumps(row), file=self._stream, flush=True)


def relay(line: str, progress: Progress) -> dict[str, Any]:
    """Tells `progress` what a worker's line says; returns the line's fields, none where it is not one of ours."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(row, dict):
        return {}
    if isinstance(said := row.get("progress"), list) and len(said) == 3:
        facts = row.get("facts")
        progress(*said, **(facts if isinstance(facts, dict) else {}))
    elif "note" in row:
        progress.note(str(row["note"]))
    return row


@contextmanager
def following(path: Path, progress: Progress) -> Iterator[None]:
    """Relays what is written to the file `path` meanwhile, from a thread of its own."""
    path.touch()
    ended = threading.Event()

    def read() -> None:
        rest = ""
        with path.open(encoding="utf-8") as file:
            while True:
                last = ended.wait(0.5)
                *whole, rest = (rest + file.read()).split("\n")
                for line in whole:
                    relay(line, progress)
                if last:
                    return

    thread = threading.Thread(target=read, name="training progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
