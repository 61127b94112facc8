"""The budget: money is reserved before a call at the most that it can cost, and settled afterwards at what it did cost.

Checking first and adding later would overspend by all calls in flight. The cost of reserving: near the end of a budget calls go
one at a time, because two worst cases no longer fit, and at most one call's worst case is left unspent.

What a kill would leave in doubt, calls in flight and bills that are not durable yet, is held to half of what is left (or one
call). So one kill can't use up a small budget.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Final

EPSILON: Final = 1e-12


@dataclass
class Budget:
    """A budget in US dollars.

    Attributes:
        limit: what may be spent; infinite without a budget.
        spent: what was spent, by earlier runs, too.
        reserved: the worst case of the calls in flight.
        unknown: the worst case of calls whose bill nobody knows.
        unkept: the part of `spent` and `unknown` that no journal has yet.
    """

    limit: float = math.inf
    spent: float = 0.0
    reserved: float = 0.0
    unknown: float = 0.0
    unkept: float = 0.0

    def __post_init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stopped = False

    @property
    def left(self) -> float:
        """What may still be spent, once every call in flight has cost its worst case."""
        return self.limit - self.spent - self.unknown - self.reserved

    async def reserve(self, usd: float) -> bool:
        """Reserve money for a call; wait while calls in flight may still turn out cheaper than reserved.

        Args:
            usd: the most that the call can cost.

        Returns:
            True if the call may be made; False if the budget has no room for it.
        """
        while usd > self.left or not self._may_be_risked(usd):
            if self._stopped or self.reserved + self.unkept <= EPSILON:
                return False
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self.reserved += usd
        return True

    def take(self, usd: float) -> bool:
        """Reserve money for a row of a batch job, which outlives a kill; never wait.

        Args:
            usd: the most that the row can cost.

        Returns:
            True if the budget had room for it.
        """
        if usd > self.left:
            return False
        self.reserved += usd
        return True

    def settle(self, reserved: float, actual: float, *, unknown: bool = False, kept: bool = True) -> None:
        """Replace a reservation by what the call cost.

        Args:
            reserved: what was reserved for it, in US dollars.
            actual: what it certainly cost, in US dollars.
            unknown: whether nobody knows what it cost; then the worst case counts, too.
            kept: whether the cost is durable, or needs to be `keep`-ed later.
        """
        self.reserved = max(0.0, self.reserved - reserved)
        self.spent += actual
        self.unknown += reserved if unknown else 0.0
        self.unkept += 0.0 if kept else actual + (reserved if unknown else 0.0)
        self._wake()

    def keep(self, usd: float) -> None:
        """Hear that the journal has a cost.

        Args:
            usd: the cost, in US dollars.
        """
        if usd:
            self.unkept = max(0.0, self.unkept - usd)
            if self.unkept <= EPSILON:
                self.unkept = 0.0
            self._wake()

    def stop(self) -> None:
        """Refuse every further reservation, those that wait included."""
        self._stopped = True
        self._wake()

    def _may_be_risked(self, usd: float) -> bool:
        risked = self.reserved + self.unkept
        return risked <= EPSILON or risked + usd <= (self.left + risked) / 2

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


def most_in_doubt(usd: float, one: float, limit: float, booked: float) -> float:
    """Return what calls in flight at a kill can have cost, by what `Budget.reserve` lets be at risk.

    Args:
        usd: the worst case of as many calls as may be in flight, in US dollars.
        one: the worst case of one call.
        limit: the budget of the run that was killed.
        booked: what is known to be spent or in doubt otherwise.

    Returns:
        US dollars.
    """
    return min(usd, max(one, (limit - booked) / 2))
