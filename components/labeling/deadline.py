"""The deadline of a call follows what is usual: a multiple of the 99th percentile of the latencies that were observed.

A hung connection would otherwise hold its place until `oracle.timeoutSeconds`, which has to be long enough for the slowest
model, and stays the most that a call is waited for. While more calls are out than have come back, those were the quick ones and
say little, so the floor is higher; and where many calls are given up, the service has become slower, and all get longer.

The price of a deadline is a call that is paid and asked again, so replies must not be missed: after the event loop was held up
(by a suspended machine, say), they are read before anything is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable
from typing import Final, TypeVar

from distillery.components.labeling.limits import Clock

T = TypeVar("T")

TIMES: Final = 5.0  # the 99th percentile
FLOOR: Final = 5.0  # seconds
OBSERVED: Final = 512  # latencies
TICK: Final = 0.25  # seconds between two looks at the calls in flight
JUDGED: Final = 32  # calls, after which it is asked whether too many were given up …
TOO_MANY: Final = 0.25  # … which is more than this share
LONGER: Final = 8.0  # times, then


class Deadline:
    """Gives up calls that take much longer than is usual; `seconds` is the deadline now, `most` its upper bound."""

    def __init__(self, most: float, clock: Clock = time.monotonic) -> None:
        self.most = self.seconds = most
        self._clock = clock
        self._open: dict[asyncio.Timeout, float] = {}  # when each began
        self._latencies: deque[float] = deque(maxlen=OBSERVED)
        self._ended = self._late = 0
        self._patience = 1.0

    async def within(self, call: Awaitable[T]) -> T:
        """Await a call.

        Args:
            call: the call.

        Returns:
            What it returned.

        Raises:
            TimeoutError: the call was given up.
        """
        timeout, began = asyncio.timeout(None), self._clock()
        self._open[timeout] = began
        try:
            async with timeout:
                result = await call
        except TimeoutError:
            self._count(late=True)
            raise
        finally:
            self._open.pop(timeout, None)
        self._latencies.append(self._clock() - began)
        self._count(late=False)
        return result

    async def enforce(self) -> None:
        """Give up calls that are late, until cancelled."""
        tick = min(TICK, self.most / 8)
        while True:
            due = self._clock() + tick
            await asyncio.sleep(tick)
            if self._clock() <= due + tick:
                self.look()

    def look(self) -> None:
        """Work out the deadline, and give up the calls that are late."""
        self.seconds = self._usual()
        now = self._clock()
        for timeout in [timeout for timeout, began in self._open.items() if now - began > self.seconds]:
            del self._open[timeout]  # it can't be ended twice
            timeout.reschedule(asyncio.get_running_loop().time())

    def _usual(self) -> float:
        if not self._latencies:
            return self.most
        usual = sorted(self._latencies)[int(0.99 * len(self._latencies))]
        floor = FLOOR * max(1.0, 2 * len(self._open) / len(self._latencies))
        return min(self.most, self._patience * max(floor, TIMES * usual))

    def _count(self, *, late: bool) -> None:
        self._ended, self._late = self._ended + 1, self._late + late
        if self._ended >= JUDGED:
            longer = LONGER if self._late > TOO_MANY * self._ended else 1 / LONGER
            self._patience = max(1.0, min(self._patience * longer, self.most / FLOOR))
            self._ended = self._late = 0
