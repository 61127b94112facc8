"""The pace of calls while a service turns everything away: a storm is probed, not fed.

A storm is ten seconds in which more than 90% of calls are refused, of twenty at least: fewer are no more than the probes of a
storm. It is seen at once where as many calls in a row are refused as may be in flight. In a storm a call goes out every 0.75 s,
however many wait, or later where the service says so. From the first answer on the pace doubles every second, so that full
speed is back within fifteen; if the refusals come back, so do the probes. Refusals at random are no storm: each costs one more
call.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from distillery.components.labeling.limits import Clock

WINDOW: Final = 10.0  # seconds
REFUSED: Final = 0.9  # share of the calls
SEEN: Final = 20  # calls, at least
GAP: Final = 0.75  # seconds between two probes: never three within a second, nor where one comes late
DOUBLES: Final = 1.0  # seconds in which the pace doubles after the first answer …
RECOVERED: Final = 15.0  # … until it is no longer held to anything
LONGEST_LIMITED: Final = 120.0  # seconds that a service may ask for


class Pace:
    """Lets calls begin: at any time, or one by one in a storm."""

    def __init__(self, concurrency: int, clock: Clock = time.monotonic) -> None:
        self.storm = False
        self._clock, self._row = clock, max(SEEN, concurrency)
        self._ended: deque[tuple[float, bool]] = deque()  # when each call of the window ended, and whether it was refused
        self._refused = self._in_a_row = 0
        self._row_began = float("inf")
        self._next = float("-inf")
        self._began = float("inf")  # of the storm
        self._answered_at: float | None = None  # since when it is ending
        self._better = asyncio.Event()
        self._line = asyncio.Lock()
        self._stopped = False

    def refused(self, retry_after: float | None = None) -> None:
        """Hear that a call was refused.

        Args:
            retry_after: seconds that the service wants to be left alone; None where it does not say.
        """
        now = self._clock()
        self._in_a_row, self._row_began = self._in_a_row + 1, min(self._row_began, now)
        at_once = self._in_a_row >= self._row and now - self._row_began <= WINDOW
        if (self._count(refused=True) or at_once) and (not self.storm or self._answered_at is not None):
            self.storm, self._began, self._answered_at, self._next = True, now, None, now + GAP
        if self.storm and self._answered_at is None and retry_after:
            self._next = max(self._next, now + min(LONGEST_LIMITED, retry_after))

    def answered(self, began: float) -> bool:
        """Hear that a call was answered.

        Args:
            began: when it began, by the clock; one from before the storm says nothing about those that are turned away now.

        Returns:
            True if this is the first answer in a storm.
        """
        self._count(refused=False)
        if began >= self._row_began:
            self._in_a_row, self._row_began = 0, float("inf")
        if not self.storm or self._answered_at is not None or began < self._began:
            return False
        self._ended.clear()
        self._refused = self._in_a_row = 0
        self._answered_at = self._next = self._clock()
        self._wake()
        return True

    async def turn(self) -> None:
        """Return when a call may begin, or after a stop."""
        if not self.storm:
            return
        async with self._line:  # whoever is first waits for the time, the others for whoever is first
            while self.storm and not self._stopped:
                now = self._clock()
                since = None if self._answered_at is None else now - self._answered_at
                if since is not None and since >= RECOVERED:
                    self.storm = False
                elif now >= self._next:
                    self._next = now + (GAP if since is None else GAP * 0.5 ** (since / DOUBLES))
                    return
                else:
                    await self._until_better(self._next - now)

    async def rest(self, seconds: float, *, whole: bool = False) -> None:
        """Wait before a call is made; return earlier after a stop.

        Args:
            seconds: how long.
            whole: whether it is waited to the end where a storm begins to end meanwhile.
        """
        until = self._clock() + seconds
        while seconds > 0 and not self._stopped:
            await self._until_better(seconds)
            seconds = until - self._clock() if whole else 0.0

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopped = True
        self._wake()

    async def _until_better(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._better.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._better.set()
        if not self._stopped:
            self._better = asyncio.Event()

    def _count(self, *, refused: bool) -> bool:
        """Count a call; return True if nearly all of the window were refused."""
        now, ended = self._clock(), self._ended
        ended.append((now, refused))
        self._refused += refused
        while ended[0][0] < now - WINDOW:
            self._refused -= ended.popleft()[1]
        return len(ended) >= SEEN and self._refused > REFUSED * len(ended)
