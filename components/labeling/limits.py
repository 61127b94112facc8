"""The limits of an oracle, found while asking: how many calls at once, and how many a minute.

Additive increase, multiplicative decrease: one call more after every round that went well; 30% fewer where most calls are
turned away, 10% fewer when replies take twice as long as before. A service that turns away some calls at random does so however
few are made, so these change nothing, and the limit never falls below an eighth of what was allowed. Storms are in `pace`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

FLOOR: Final = 1 / 8
CUT_LIMITED: Final = 0.7
CUT_SLOW: Final = 0.9
SLOW: Final = 2.0
REFUSED: Final = 0.7  # share of the last calls, above which fewer are made at once
LAST: Final = 64
ROUND: Final = 16  # calls, at least, before their latency is judged

Clock = Callable[[], float]


class Slots:
    """Places for calls in flight on one event loop; `limit` moves between an eighth of `most` and `most`."""

    def __init__(self, most: int, clock: Clock = time.monotonic) -> None:
        self.most, self.limit, self.used = most, float(most), 0
        self._clock, self._waiting = clock, deque[asyncio.Future[None]]()
        self._cut_at = float("-inf")
        self._latencies: list[float] = []
        self._ended: deque[bool] = deque(maxlen=LAST)  # whether each of the last calls was refused
        self.usual = 0.0

    async def acquire(self) -> float:
        """Take a place, once one is free.

        Returns:
            When the call begins, by the clock.
        """
        while self.used >= max(1, int(self.limit)):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self._wake()
                raise
        self.used += 1
        return self._clock()

    def release(self) -> None:
        """Give a place back."""
        self.used -= 1
        self._wake()

    def answered(self, began: float) -> None:
        """Hear that a reply came: allow a little more, unless replies have become slow.

        Args:
            began: when the call began, by the clock.
        """
        self._ended.append(False)
        self.limit = min(self.most, self.limit + 1 / self.limit)
        self._latencies.append(self._clock() - began)
        if len(self._latencies) >= max(ROUND, self.limit):
            now, self._latencies = median(self._latencies), []
            # Slowly upwards: a service that has become slower for good is the new normal.
            self.usual = now if not self.usual else min(self.usual * 1.02, now)
            if now > SLOW * self.usual:
                self._cut(began, CUT_SLOW)
        self._wake()

    def limited(self, began: float) -> None:
        """Hear that a call got a 429 or no reply at all: allow fewer where most do.

        Args:
            began: when the call began, by the clock.
        """
        self._ended.append(True)
        if sum(self._ended) > REFUSED * len(self._ended):
            self._cut(began, CUT_LIMITED)

    def restore(self) -> None:
        """Allow as many as at first: a storm is over, and what was refused in it says nothing any more."""
        self.limit = float(self.most)
        self._ended.clear()
        self._wake()

    def _cut(self, began: float, factor: float) -> None:
        if began >= self._cut_at:  # those already under way when it was cut say nothing about the new limit
            self.limit = max(1.0, self.most * FLOOR, self.limit * factor)
            self._cut_at = self._clock()

    def _wake(self) -> None:
        free = max(1, int(self.limit)) - self.used
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


class Rate:
    """At most so much a minute, evenly spread: no minute, wherever it begins, holds more than its share and one call."""

    def __init__(self, per_minute: float | None, clock: Clock = time.monotonic) -> None:
        self._seconds = 60 / per_minute if per_minute else 0.0  # for one unit
        self._clock, self._free_at = clock, float("-inf")

    def wait(self, amount: float = 1) -> float:
        """Take an amount.

        Args:
            amount: calls or tokens.

        Returns:
            Seconds to wait before it may be used.
        """
        now = self._clock()
        begins = max(now, self._free_at)
        self._free_at = begins + amount * self._seconds
        return begins - now

    def correct(self, amount: float) -> None:
        """Add what turned out to be taken in excess of the estimate.

        Args:
            amount: calls or tokens; negative where it was less.
        """
        self._free_at += amount * self._seconds
