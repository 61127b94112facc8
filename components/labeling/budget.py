"""Money: reserved before a call at the worst that it can cost, settled afterwards with what it did.

Checking first and adding later would overspend by all calls in flight. The price is the end of a budget, where calls go one
by one because the worst case no longer fits twice: at most one call's worst case is left unspent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass

from distillery.components.labeling.oracles.base import Usage


@dataclass
class Budget:
    """US dollars. limit: infinite without a budget. spent: by earlier runs, too. unknown: of calls whose bill never came."""

    limit: float = math.inf
    spent: float = 0.0
    reserved: float = 0.0
    unknown: float = 0.0

    def __post_init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._stopped = False

    async def reserve(self, usd: float) -> bool:
        """Whether a call that costs at most `usd` may be made; waits while calls in flight may still turn out cheaper."""
        while self.spent + self.unknown + self.reserved + usd > self.limit:
            if self.reserved <= 1e-12 or self._stopped:
                return False
            settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self.reserved += usd
        return True

    def settle(self, reserved: float, actual: float, *, unknown: bool = False) -> None:
        """The call is over. unknown: nobody told what it cost, so the worst stays taken."""
        self.reserved = max(0.0, self.reserved - reserved)
        if unknown:
            self.unknown += reserved
        else:
            self.spent += actual
        self._wake()

    def stop(self) -> None:
        """Nobody gets more: whoever waits is told so."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


def most_tokens(prompt_bytes: int, extra_bytes: int, output: int) -> Usage:
    """The most that a call can be billed for: no tokenizer makes more tokens than bytes."""
    return Usage(prompt_bytes + extra_bytes, 0, output)
