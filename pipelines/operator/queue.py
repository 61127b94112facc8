"""Which object is looked at next: each by one worker at a time, as soon as it changed, and again after a while.

A watch that is late, repeats itself or is gone costs time only: whatever it told comes with the next listing.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

Key = tuple[str, str]  # namespace and name


class Queue:
    """Objects that are to be looked at, each at a time of its own.

    Args:
        clock: seconds, by a clock that is never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._ready = clock, threading.Condition()
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._busy: set[Key] = set()
        self._closed = False

    def add(self, key: Key, seconds: float = 0.0) -> None:
        """Have an object looked at after so many seconds, or sooner where that was wanted already.

        Args:
            key: the object.
            seconds: from now; 0 for at once.
        """
        with self._ready:
            at = self._clock() + seconds
            if at < self._due.get(key, float("inf")):
                self._due[key] = at
                heapq.heappush(self._heap, (at, key))
                self._ready.notify()

    def take(self, *, wait: bool = True) -> Key | None:
        """Return the next object that is due and that nobody looks at; `done` must follow.

        Args:
            wait: False to return at once.

        Returns:
            The object; None where the queue was closed, or nothing is due and nobody waits.
        """
        with self._ready:
            while not self._closed:
                key, pause = self._next()
                if key is not None:
                    return key
                if not wait:
                    return None
                self._ready.wait(pause)
            return None

    def _next(self) -> tuple[Key | None, float | None]:
        """Return an object that is due; else how many seconds there is nothing to do, None for long."""
        later: list[tuple[float, Key]] = []
        found, pause = None, None
        while self._heap:
            at, key = self._heap[0]
            if self._due.get(key) != at:  # it was wanted sooner since, and taken
                heapq.heappop(self._heap)
            elif at > self._clock():
                pause = at - self._clock()
                break
            elif key in self._busy:
                later.append(heapq.heappop(self._heap))
            else:
                heapq.heappop(self._heap)
                del self._due[key]
                self._busy.add(key)
                found = key
                break
        for one in later:
            heapq.heappush(self._heap, one)
        return found, pause

    def done(self, key: Key) -> None:
        """Say that an object that was taken is looked at no longer.

        Args:
            key: the object.
        """
        with self._ready:
            self._busy.discard(key)
            self._ready.notify()

    def close(self) -> None:
        """Let all that wait in `take` return."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
