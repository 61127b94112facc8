"""The budget: money is reserved before a call at the most that it can cost, and settled afterwards at what it did cost.

Checking first and adding later would overspend by all calls in flight. The cost of reserving: near the end of a budget calls go
one at a time, because two worst cases no longer fit, and at most one call's worst case is left unspent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass

from distillery.components.labeling.oracles.base import Usage


@dataclass
class Budget:
    """A budget in US dollars.

    Attributes:
        limit: what may be spent; infinite without a budget.
        spent: what was spent, by earlier runs, too.
        reserved: the worst case of the calls in flight.
        unknown: the worst case of calls whose bill never came.
    """

    limit: float = math.inf
    spent: float = 0.0
    reserved: float = 0.0
    unknown: float = 0.0

    def __post_init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stopped = False

    async def reserve(self, usd: float) -> bool:
        """Reserve money for a call; wait while calls in flight may still turn out cheaper than reserved.

        Args:
            usd: the most that the call can cost.

        Returns:
            True if the call may be made; False if the budget has no room for it.
        """
        while self.spent + self.unknown + self.reserved + usd > self.limit:
            if self.reserved <= 1e-12 or self._stopped:
                return False
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self.reserved += usd
        return True

    def settle(self, reserved: float, actual: float, *, unknown: bool = False) -> None:
        """Replace a reservation by what the call cost.

        Args:
            reserved: what was reserved for it, in US dollars.
            actual: what it cost, in US dollars.
            unknown: whether nobody knows what it cost; then the reservation stays.
        """
        self.reserved = max(0.0, self.reserved - reserved)
        if unknown:
            self.unknown += reserved
        else:
            self.spent += actual
        self._wake()

    def stop(self) -> None:
        """Refuse every further reservation, those that wait included."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


def most_tokens(prompt_bytes: int, extra_bytes: int, output: int) -> Usage:
    """Return the most that a call can be billed for: no tokenizer makes more tokens than bytes.

    Args:
        prompt_bytes: bytes of the prompt.
        extra_bytes: bytes that the service adds to it.
        output: tokens of the longest reply.

    Returns:
        The usage in the worst case.
    """
    return Usage(prompt_bytes + extra_bytes, 0, output)
