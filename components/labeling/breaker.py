"""The breaker: stops a run that gets nothing but failures, or labels that say nothing.

It would rather stop too early: a run that was stopped without need continues where it was with the same command, while money
spent on replies that are all alike is gone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import pstdev
from typing import Final

from distillery.filters.errors import Stopped

FAILURES: Final = 20
WINDOW: Final = 200
CONSTANT: Final = 0.1  # standard deviation, in points of 10, below which a dimension says nothing
LIMITED_SECONDS: Final = 600.0
AGAIN: Final = "start again with the same command to go on"


class Breaker:
    """Hears of every call and raises Stopped where the run must end; `labels` tells how many labels are kept."""

    def __init__(
        self, oracle: str, dimensions: Sequence[str], labels: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._oracle, self._dimensions, self._labels, self._clock = oracle, tuple(dimensions), labels, clock
        self._failures = 0
        self._failing_since = self._limited_since = float("inf")
        self._window: deque[tuple[float, ...]] = deque(maxlen=WINDOW)
        self._since_check = 0

    def failed(self, reason: str, began: float, *, paid: bool) -> None:
        """Hear that a call failed.

        Of unpaid calls, those that were in flight at the first failure count as one: a lost connection.

        Args:
            reason: why it failed.
            began: when it began, by the clock.
            paid: whether it was billed.

        Raises:
            Stopped: this was the last of 20 failures in a row.
        """
        if self._failures and not paid and began < self._failing_since:
            return
        self._failing_since = min(self._failing_since, self._clock())
        self._failures += 1
        if self._failures >= FAILURES:
            self.stop(
                f"{self._failures} calls in a row failed, the last because {reason}",
                f"look at the service, model and rubric, then {AGAIN}",
            )

    def limited(self) -> None:
        """Hear that a call was turned away (429), which is no failure unless nothing else happens.

        Raises:
            Stopped: nothing else has happened for ten minutes.
        """
        self._limited_since = min(self._limited_since, self._clock())
        if self._clock() - self._limited_since > LIMITED_SECONDS:
            self.stop(
                f"every call was turned away (429) for {LIMITED_SECONDS / 60:.0f} minutes",
                f"lower --concurrency or oracle.requestsPerMinute, or wait for the quota, then {AGAIN}",
            )

    def replied(self) -> None:
        """Hear that some reply came, usable or not."""
        self._limited_since = float("inf")

    def labelled(self, scores: tuple[float, ...]) -> None:
        """Hear that a reply was usable.

        Args:
            scores: its scores, in the order of the dimensions.

        Raises:
            Stopped: the last 200 labels are all alike, or a dimension is 0 in all of them.
        """
        self._failures, self._failing_since = 0, float("inf")
        self._window.append(scores)
        self._since_check += 1
        if len(self._window) < WINDOW or self._since_check < WINDOW // 10:
            return
        self._since_check = 0
        columns = list(zip(*self._window, strict=True))
        hint = "if the articles are really like that, the same command goes on; if not, mend rubric or model first"
        if all(pstdev(column) < CONSTANT for column in columns):
            self.stop(f"the last {WINDOW} labels are all alike ({self._shown(self._window[-1])})", hint)
        for name, column in zip(self._dimensions, columns, strict=True):
            if not any(column):
                self.stop(f"{name} is 0 in each of the last {WINDOW} labels", hint)

    def stop(self, what: str, hint: str) -> None:
        """Stop the run.

        Args:
            what: why.
            hint: what to do about it.

        Raises:
            Stopped: always.
        """
        raise Stopped(f"stopped: {what}; {self._labels():,} labels are kept (oracle {self._oracle})", hint=hint)

    def out_of_credit(self, reason: str) -> None:
        """Stop the run because the account is empty.

        Args:
            reason: what the service said.

        Raises:
            Stopped: always.
        """
        self.stop(f"the oracle gives no more credit: {reason}", f"top up the account or choose another key, then {AGAIN}")

    def _shown(self, scores: tuple[float, ...]) -> str:
        return ", ".join(f"{name} {score:g}" for name, score in zip(self._dimensions, scores, strict=True))
