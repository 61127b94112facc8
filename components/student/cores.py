"""Leave a core to whoever works on it: as many threads as cores are free, since threads that wait for one another spin.

OpenMP's threads meet after each product, and burn their cores until the last has come. Beside one busy process on two cores the
last is the one that the kernel keeps waiting: two threads then train at 4% of the quiet rate, where one reaches half of it.
Waiting asleep (`OMP_WAIT_POLICY=passive`) costs a fifth of the rate on a quiet machine. So the number of threads follows
the neighbours: between two passes, at most twice a second, at 0.1 ms a look. The sum of a product doesn't depend on it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

EVERY = 0.5  # seconds between two looks
WAITED = 0.25  # cores that our threads may lack, all together, before one of them is taken away
ROOM = 0.8  # idle cores before another thread is started
PATIENCE = (2.0, 64.0)  # seconds for which there must be room; doubled, up to the second, when a thread was started in vain


@dataclass(frozen=True)
class Look:
    """What the kernel counts, in seconds since some start.

    Attributes:
        at: monotonic time.
        waited: for which they were ready to run and had no core.
        idle: of all cores that this process may use.
    """

    at: float
    waited: float
    idle: float


def look(proc: Path = Path("/proc")) -> Look | None:
    """Read the kernel's counts.

    Args:
        proc: where they are.

    Returns:
        The counts; None where this system keeps none.
    """
    waited = 0
    try:
        for task in (proc / "self/task").iterdir():
            try:
                waited += int((task / "schedstat").read_text("ascii").split()[1])
            except FileNotFoundError:  # a thread that has just ended
                continue
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [line.split() for line in (proc / "stat").read_text("ascii").splitlines()]
        ticks = sum(int(row[4]) + int(row[5]) for row in rows if row and row[0] in mine)  # idle, and idle while a disk works
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return Look(time.monotonic(), waited / 1e9, ticks / os.sysconf("SC_CLK_TCK"))


class SharedCores:
    """Follow the neighbours with the number of threads.

    Args:
        most: threads where nobody else works.
        looks: reads the kernel's counts.
        started: told of each change; torch by default.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        looks: Callable[[], Look | None] = look,
        started: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.threads, self._looks, self._started, self._clock = most, most, looks, started, clock
        self._last = looks() if most > 1 else None
        self._patience, self._room_since, self._raised = PATIENCE[0], math.inf, -math.inf

    def settle(self) -> None:
        """Look at the machine, if the last look is some time ago, and change the number of threads if need be.

        Call it between two passes, on the thread that computes.
        """
        last = self._last
        if last is None or self._clock() - last.at < EVERY:
            return
        now = self._looks()
        self._last = now
        if now is None:
            return
        seconds = now.at - last.at
        lacking, idle = (now.waited - last.waited) / seconds, (now.idle - last.idle) / seconds
        if lacking > WAITED and self.threads > 1:
            in_vain = now.at - self._raised < self._patience
            self._patience = min(2 * self._patience, PATIENCE[1]) if in_vain else PATIENCE[0]
            self._room_since = math.inf
            self._change(max(1, self.threads - max(1, round(lacking))))
        elif self.threads < self.most and idle >= ROOM:
            self._room_since = min(self._room_since, last.at)
            if now.at - self._room_since >= self._patience:
                self._raised, self._room_since = now.at, math.inf
                self._change(min(self.most, self.threads + max(1, int(idle))))
        else:
            self._room_since = math.inf

    def _change(self, threads: int) -> None:
        self.threads = threads
        self._started(threads)


_cores: SharedCores | None = None


def settle_threads() -> None:
    """Let the number of torch's threads follow the neighbours; the most are those that torch had at the first call."""
    global _cores
    if _cores is None:
        _cores = SharedCores(torch.get_num_threads())
    _cores.settle()
