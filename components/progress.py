"""Progress of a step: counted where the work is, shown where a person looks.

A step calls `progress(done, total, unit, loss=…)` as often as it likes. Whoever watches gets at most four events a second
through the file named by DISTILLERY_EVENTS (one JSON object a line, appended by one process at a time); without a watcher
one plain line every 15 s goes to standard error. Events are for eyes only: nothing is decided by them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import IO

EVENTS = "DISTILLERY_EVENTS"
EVENT_SECONDS = 0.25
LINE_SECONDS = 15.0


def clock(seconds: float) -> str:
    """Seconds as people say them: "48 s", "3 min 20 s", "1 h 05 min"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line(step: str, done: int, total: int | None, unit: str, rate: float, facts: Mapping[str, float | str]) -> str:
    """One plain line: step, how far, rate, time left, facts."""
    parts = [f"{step}: {done:,}" + (f" of {total:,}" if total else "") + (f" {unit}" if unit else "")]
    if rate > 0:
        parts.append(f"{rate:,.1f}/s")
        if total and total > done:
            parts.append(f"{clock((total - done) / rate)} left")
    parts += [f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()]
    return ", ".join(parts)


class Progress:
    """Does nothing; the base of what reports."""

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        """Says that `done` of `total` units are through; cheap enough for an inner loop."""

    def note(self, text: str) -> None:
        """One line worth keeping in the log."""


quiet = Progress()


class Reporter(Progress):
    """Writes events to a file, or plain lines to a stream."""

    def __init__(self, step: str, events: str | None, stream: IO[str]) -> None:
        self.step, self.events, self.stream = step, events, stream
        self._began: tuple[float, int] | None = None
        self._said = 0.0

    def event(self, kind: str, **fields: object) -> None:
        if self.events:
            record = json.dumps({"at": time.time(), "step": self.step, "kind": kind, **fields}, default=str)
            with open(self.events, "a", encoding="utf-8") as file:
                file.write(record + "\n")

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        now = time.monotonic()
        if self._began is None or done < self._began[1]:
            self._began = (now, done)
        last = total is not None and done >= total
        if now - self._said < (EVENT_SECONDS if self.events else LINE_SECONDS) and not last:
            return
        self._said = now
        elapsed, first = now - self._began[0], self._began[1]
        rate = (done - first) / elapsed if elapsed > 0 else 0.0
        if self.events:
            self.event("progress", done=done, total=total, unit=unit, rate=rate, facts=facts)
        else:
            print(line(self.step, done, total, unit, rate, facts), file=self.stream, flush=True)

    def note(self, text: str) -> None:
        if self.events:
            self.event("note", text=text)
        else:
            print(f"{self.step}: {text}", file=self.stream, flush=True)


def reporter(step: str) -> Reporter:
    """The reporter for a step running in this process."""
    return Reporter(step, os.environ.get(EVENTS), sys.stderr)
