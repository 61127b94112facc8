"""Progress of a step: counted where the work is, shown where a person looks.

A step calls `progress(done, total, unit, loss=…)` as often as it likes. Whoever watches gets at most four events a second
through the file named by DISTILLERY_EVENTS (one JSON object a line, appended by one process at a time); without that file
one plain line every 15 s goes to standard error, and a run's step keeps the same events in one small object of the store
(at most one put every 3 s, from a thread of its own, so that a store that is away costs the work nothing). Events are for
eyes only: nothing is decided by them.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO

from distillery.components.runtime.events import Event, Measured, Noted, Progressed

EVENTS = "DISTILLERY_EVENTS"
EVENT_SECONDS = 0.25
LINE_SECONDS = 15.0
FEED_SECONDS = 3.0
FEED_EVENTS = 200


def clock(seconds: float) -> str:
    """Return seconds as people say them: "48 s", "3 min 20 s", "1 h 05 min".

    Args:
        seconds: any number of them, 0 or more.

    Returns:
        Text for people.
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line(step: str, done: int, total: int | None, unit: str, rate: float, facts: Mapping[str, float | str]) -> str:
    """Return one plain line: step, how far, rate, time left, facts.

    Args:
        step: name of the step.
        done: units that are through.
        total: units in all; None where that is not known.
        unit: what is counted, "" for nothing in particular.
        rate: units a second; 0 where it is not known.
        facts: figures to show behind, by name.

    Returns:
        The line, without a line break.
    """
    parts = [f"{step}: {done:,}" + (f" of {total:,}" if total else "") + (f" {unit}" if unit else "")]
    if rate > 0:
        parts.append(f"{rate:,.1f}/s")
        if total and total > done:
            parts.append(f"{clock((total - done) / rate)} left")
    parts += [f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()]
    return ", ".join(parts)


class Progress:
    """Report nothing; the base of what reports."""

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        """Say that `done` of `total` units are through; cheap enough for an inner loop.

        Args:
            done: units that are through.
            total: units in all; None where that is not known.
            unit: what is counted, "" for nothing in particular.
            facts: figures to show beside, such as the loss.
        """

    def note(self, text: str) -> None:
        """Say one line worth keeping in the log.

        Args:
            text: the line.
        """

    def figures(self, done: int, values: Mapping[str, float]) -> None:
        """Say figures that belong to a place of the work, such as the errors after an epoch.

        Args:
            done: units that are through.
            values: figures by name.
        """


quiet = Progress()


class Feed:
    """Keep the events of one step as one object, JSON lines, rewritten as a whole; each carries its number "n".

    Only the newest of consecutive progress events is kept, and at most 200 events: an object of some 40 kB. What `put`
    raises is dropped, since nobody's work may fail over its progress bar.
    """

    def __init__(self, put: Callable[[bytes], object], *, seconds: float = FEED_SECONDS) -> None:
        """Begin a feed without events.

        Args:
            put: writes the bytes of all events.
            seconds: the shortest time between two writes.
        """
        self._put, self._seconds = put, seconds
        self._rows: list[Event] = []
        self._count = 0
        self._changed = threading.Condition()
        self._ended = self._stale = False
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)

    def take(self, event: Event) -> None:
        """Keep one more event.

        Args:
            event: the event; it gets the next number.
        """
        with self._changed:
            self._count += 1
            if self._rows and self._rows[-1].kind == event.kind == "progress":
                self._rows.pop()
            self._rows = [*self._rows[-FEED_EVENTS + 1 :], event.model_copy(update={"n": self._count})]
            self._stale = True
            self._changed.notify()
            if self._thread.ident is None:
                self._thread.start()

    def close(self, seconds: float = 10.0) -> None:
        """Write what is left.

        Args:
            seconds: the longest time to wait for it.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        """Write the events whenever they changed, until the feed is closed; the thread runs this."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stale or self._ended)
                if not self._stale:
                    return
                data = "".join(row.to_line() for row in self._rows).encode()
                self._stale = False
            with contextlib.suppress(Exception):
                self._put(data)
            with self._changed:
                self._changed.wait_for(lambda: self._ended, timeout=self._seconds)


class Reporter(Progress):
    """Write events to a file, or plain lines to a stream, and events to a feed where there is one.

    Args:
        step: name of the step.
        events: path of the file for events, or a stream that takes them; None for plain lines.
        stream: where plain lines go.
        seconds: the shortest time between two events of progress; the last one is written in any case.
    """

    def __init__(self, step: str, events: str | IO[str] | None, stream: IO[str], *, seconds: float = EVENT_SECONDS) -> None:
        """Open a reporter that has reported nothing yet."""
        self.step, self.events, self.stream, self.seconds = step, events, stream, seconds
        self.feed: Feed | None = None
        self._began: tuple[float, int] | None = None
        self._latest: tuple[int, int | None, str] = (0, None, "")
        self._said = self._fed = 0.0

    def share(self, put: Callable[[bytes], object]) -> None:
        """Keep the step's events by `put` too from here on, unless a local file has them already.

        Args:
            put: writes the bytes of all events, whatever was there.
        """
        if not self.events:
            self.feed = Feed(put)

    def close(self) -> None:
        """Write what the feed still has."""
        if self.feed:
            self.feed.close()

    def event(self, event: Event) -> None:
        """Hand one event to the file or the feed.

        Args:
            event: the event.
        """
        if isinstance(self.events, str):
            with open(self.events, "a", encoding="utf-8") as file:
                file.write(event.to_line())
        elif self.events:
            print(event.to_line(), end="", file=self.events, flush=True)
        elif self.feed:
            self.feed.take(event)

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        """Report how far the step is, if it is time for another event or line.

        Args:
            done: units that are through; fewer than before, another total or another unit begin the rate anew.
            total: units in all; None where that is not known.
            unit: what is counted, "" for nothing in particular.
            facts: figures to show beside, such as the loss.
        """
        now = time.monotonic()
        before, of, counted = self._latest
        if self._began is None or done < before or unit != counted or (of is not None and total not in (of, None)):
            self._began = (now, done)
        self._latest = (done, total, unit)
        last = total is not None and done >= total
        elapsed, first = now - self._began[0], self._began[1]
        rate = (done - first) / elapsed if elapsed > 0 else 0.0
        if now - self._fed >= self.seconds or last:
            self._fed = now
            shown = {name: _plain(value) for name, value in facts.items()}
            self.event(Progressed(at=time.time(), step=self.step, done=done, total=total, unit=unit, rate=rate, facts=shown))
        if not self.events and (now - self._said >= LINE_SECONDS or last):
            self._said = now
            print(line(self.step, done, total, unit, rate, facts), file=self.stream, flush=True)

    def note(self, text: str) -> None:
        """Say one line worth keeping in the log.

        Args:
            text: the line.
        """
        self.event(Noted(at=time.time(), step=self.step, text=printable(text)))
        if not self.events:
            print(f"{self.step}: {text}", file=self.stream, flush=True)

    def figures(self, done: int, values: Mapping[str, float]) -> None:
        """Hand figures on as an event; what is no finite number is left out.

        Args:
            done: units that are through.
            values: figures by name.
        """
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self.event(Measured(at=time.time(), step=self.step, done=done, figures=finite))


def printable(text: str) -> str:
    """Return text that can be encoded.

    A lone surrogate, as the name of a file may hold one, becomes a question mark.

    Args:
        text: any text.

    Returns:
        The text, fit for UTF-8.
    """
    return str(text).encode("utf-8", "replace").decode("utf-8")


def _plain(value: object) -> int | float | str:
    """Return a fact as JSON has it; what is no finite number, as text."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return int(value) if isinstance(value, int) else printable(str(value))


def reporter(step: str) -> Reporter:
    """Return the reporter for a step running in this process.

    Args:
        step: name of the step.

    Returns:
        A reporter to the file that DISTILLERY_EVENTS names, or else to standard error.
    """
    return Reporter(step, os.environ.get(EVENTS), sys.stderr)
