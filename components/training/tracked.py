"""The heartbeat of a training, handed on to trackers: what the log and the live view are told, they are told.

A tracker has a thread of its own, and nothing that it does or fails to do reaches the training: neither its bytes nor its end
depend on one. Between two reports only the newest running figures are kept, and all of an epoch's.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from distillery.components.runtime.progress import Progress
from distillery.components.training.trackers.base import Beat, Tracker

SECONDS: Final = 10.0  # between two reports to a tracker, at first
SHARE: Final = 0.02  # of the time that has passed: a training of a day makes some 400 reports, not 8,640
GRAIN: Final = 1.0  # seconds between two running figures
MOST: Final = 2_000  # beats that wait for a tracker that is away
FAILURES: Final = 5  # in a row, after which a tracker is told nothing more
PATIENCE: Final = 15.0  # seconds for the last report, at the end of the training
HASTE: Final = 3.0  # the same where it failed: whoever pressed Ctrl-C does not wait


def figures_of(epoch: Mapping[str, Any]) -> dict[str, float]:
    """Return an epoch's figures by the names that curves have.

    Args:
        epoch: as the history holds it.

    Returns:
        Figures by name, such as "validation/mae".
    """
    found = {
        "epoch": float(epoch["epoch"]),
        "train/epoch_loss": float(epoch["train_loss"]),
        "train/learning_rate": float(epoch["learning_rate"]),
        "validation/mae": float(epoch["validation_mae"]),
        "validation/rmse": float(epoch["validation_rmse"]),
    }
    for name, parts in epoch.get("dimensions", {}).items():
        found |= {f"{part}/mae/{name}": float(value) for part, value in parts.items()}
    return found


class _Told:
    """One tracker, and what it is to be told next."""

    def __init__(self, tracker: Tracker, note: Callable[[str], None], seconds: float) -> None:
        self.tracker, self.note, self.seconds = tracker, note, seconds
        self.waiting: list[Beat] = []
        self.changed = threading.Condition()
        self.ended = self.gone = self.failed = False
        self.thread = threading.Thread(target=self.work, name=f"tracker {tracker.name}", daemon=True)

    def take(self, beat: Beat) -> None:
        """Keep a beat; a running one takes the place of another running one that is younger than a second."""
        with self.changed:
            if self.gone:
                return
            last = self.waiting[-2] if len(self.waiting) > 1 else None
            if last and not beat.lasting and not self.waiting[-1].lasting and self.waiting[-1].at - last.at < GRAIN:
                self.waiting.pop()
            self.waiting.append(beat)
            if len(self.waiting) > MOST:
                lasting = [each for each in self.waiting if each.lasting]
                self.waiting = sorted([*lasting, *[each for each in self.waiting if not each.lasting][::2]], key=lambda b: b.at)
            if self.thread.ident is None:
                self.thread.start()
            self.changed.notify()

    def close(self, *, failed: bool) -> None:
        """Let the tracker say what is left, and no longer than we have patience."""
        with self.changed:
            self.ended, self.failed = True, failed
            if self.thread.ident is None:
                return
            self.changed.notify()
        self.thread.join(HASTE if failed else PATIENCE)
        if self.thread.is_alive():
            self.note(f"tracker {self.tracker.name} has not answered; its last figures may be missing")

    def work(self) -> None:
        """Report until the training has ended; the thread runs this."""
        began, failures = time.monotonic(), 0
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.ended)
                beats, ended = self.waiting, self.ended
                self.waiting = []
            try:
                if beats:
                    self.tracker.report(beats)
                if ended:
                    self.tracker.close(failed=self.failed)
                    return
                failures = 0
            except BaseException as error:  # a library may end its thread by SystemExit
                failures += 1
                if ended or failures == FAILURES:
                    self.give_up(error)
                    return
                if failures == 1:
                    self.note(f"tracker {self.tracker.name} failed ({_why(error)}), and is told again")
                with self.changed:
                    self.waiting = [*beats, *self.waiting]
            with self.changed:
                self.changed.wait_for(lambda: self.ended, timeout=max(self.seconds, SHARE * (time.monotonic() - began)))

    def give_up(self, error: BaseException) -> None:
        """Tell the tracker nothing more."""
        with self.changed:
            self.gone, self.waiting = True, []
        self.note(f"tracker {self.tracker.name} failed ({_why(error)}) and is told nothing more; the training is not affected")


def _why(error: BaseException) -> str:
    """Return what an error is, without its text, which may hold an address with a key in it."""
    status = getattr(error, "status", None)
    return type(error).__name__ + (f" {status}" if isinstance(status, int) and status else "")


class Tracked(Progress):
    """Pass on what a training says to who watched before, and its figures to trackers.

    Args:
        progress: who watched before.
        trackers: told of figures.
        seconds: between two reports to a tracker.
    """

    def __init__(self, progress: Progress, trackers: Sequence[Tracker], *, seconds: float = SECONDS) -> None:
        self._progress = progress
        self._told = [_Told(tracker, progress.note, seconds) for tracker in trackers]
        self._total = 0

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        """Say how far the training is; see `Progress`.

        Args:
            done: units that are through.
            total: units in all; None where that is not known.
            unit: what is counted.
            facts: figures to show beside, such as the loss.
        """
        self._progress(done, total, unit, **facts)
        found = {f"train/{name}": float(value) for name, value in facts.items() if isinstance(value, (int, float))}
        self._total = total or self._total
        self._beat(done, found, lasting=False)

    def note(self, text: str) -> None:
        """Say one line worth keeping in the log.

        Args:
            text: the line.
        """
        self._progress.note(text)

    def figures(self, done: int, values: Mapping[str, float]) -> None:
        """Say the figures of an epoch.

        Args:
            done: articles that were trained on.
            values: figures by name.
        """
        self._progress.figures(done, values)
        self._beat(done, dict(values), lasting=True)

    def _beat(self, done: int, figures: dict[str, float], *, lasting: bool) -> None:
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        if finite:  # what comes without figures is no part of a curve, such as articles that were read
            beat = Beat(time.time(), done, self._total, finite, lasting)
            for told in self._told:
                told.take(beat)

    def close(self, *, failed: bool) -> None:
        """Hand over what is left.

        Args:
            failed: True where the training did not end well.
        """
        for told in self._told:
            told.close(failed=failed)


@contextmanager
def tracked(progress: Progress, trackers: Sequence[Tracker]) -> Iterator[Progress]:
    """Report to trackers while the block runs.

    Args:
        progress: who is told anyway.
        trackers: told of figures, too; none is fine.

    Yields:
        What the training is to report to.
    """
    if not trackers:
        yield progress
        return
    told = Tracked(progress, trackers)
    failed = True
    try:
        yield told
        failed = False
    finally:
        told.close(failed=failed)
