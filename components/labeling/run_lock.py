"""The run lock, `run.json` beside the journal: which run is labeling, and what is lost if it is killed.

One run at a time asks one oracle with one rubric: two would pay for the same articles, submit the same batch job, and share no
budget. A second run waits, and then finds the labels there. The cost: after a run whose machine died the next one waits for
75 s (a run that was killed on this machine is known to be gone at once), and a small put every 15 s.

Whoever waits measures silence by its own clock, so no two clocks are compared. A run that was silent and comes back stops.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from distillery.components.artifacts.document import Document
from distillery.components.labeling.budget import most_in_doubt
from distillery.components.remote.retry import is_outage
from distillery.components.store import Conflict, Store, StoreError, TooLarge
from distillery.components.store.layout import run_lock_key
from distillery.filters.errors import Stopped

BEAT: Final = 15.0  # seconds between two signs of life
SILENT: Final = 75.0  # without one, a run counts as gone
LOOK: Final = 1.0


class Lost(Document):
    """What killed runs may have paid for without a label, at most: runs, calls, and US dollars in the worst case."""

    runs: int = Field(0, ge=0)
    calls: int = Field(0, ge=0)
    usd: float = Field(0.0, ge=0)


class Holder(Document):
    """The run that holds the lock; `beat` counts its signs of life."""

    id: str
    machine: str = ""
    pid: int = 0
    beat: int = 0


class State(Document):
    """What the last run can lose if it is killed, and who holds the lock while a run goes on.

    Of calls in flight there are `open` at most, which cost `usd` at most; the run's budget is `limit`, None without one. The
    journal had `records` lines at least. Once it has settled `until` articles the run has none left; None: nobody noted that.
    """

    KIND = "a lock of a run"

    format: Literal[1] = 1
    open: int = Field(0, ge=0)
    usd: float = Field(0.0, ge=0)
    limit: float | None = Field(None, ge=0)
    lost: Lost = Lost()
    holder: Holder | None = None
    records: int = Field(0, ge=0)
    until: int | None = Field(None, ge=0)

    def in_doubt(self, settled: int) -> int:
        """Count the calls of the last run that may have been in flight at its end: no more than it had articles left by then.

        Args:
            settled: articles that the journal has settled by now.

        Returns:
            The number of calls.
        """
        return self.open if self.until is None else min(self.open, max(0, self.until - settled))


class RunLock:
    """A run's lock on a journal.

    A run calls acquire, start, `heartbeat` while it asks, and release. Where it ends before start has succeeded, release leaves
    what an earlier run lost as it is.

    Attributes:
        records: lines that the journal had when this lock was acquired, or more; 0 where nobody noted them.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        records: Callable[[], int] = lambda: 0,
        settled: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store, self._key, self._clock, self._sleep = store, run_lock_key(prefix), clock, sleep
        self._id, self._beats, self._records, self.records = secrets.token_hex(8), 0, records, 0
        self._settled = settled
        self._started = False

    def acquire(self, waits: Callable[[], None] = lambda: None) -> bool:
        """Wait until this run may ask.

        Args:
            waits: called once, before waiting for another run.

        Returns:
            True if another run was waited for.
        """
        waited, sign, since = False, None, self._clock()
        while True:
            state, etag = self._read()
            holder = state.holder
            if holder is not None and not _gone(holder):
                if sign != (sign := (holder.id, holder.beat)):
                    since = self._clock()
                if self._clock() - since < SILENT:
                    if not waited:
                        waits()
                    waited = True
                    self._sleep(LOOK)
                    continue
            if self._write(state, etag):
                self.records = state.records
                return waited

    def start(
        self, calls: int, usd: float, *, limit: float = math.inf, booked: float = 0.0, left: int | None = None
    ) -> tuple[Lost, int]:
        """Record what a kill would lose from here on, and book what an earlier one lost.

        Nobody knows the bill of the calls in flight at a kill. They count at their worst case, but at no more than the budget
        of that run let be at risk, which is half of what it had left, or one call.

        Args:
            calls: calls that can be in flight.
            usd: the most that they can cost, in US dollars.
            limit: this run's budget, in US dollars.
            booked: what the journal says that all calls cost, in US dollars.
            left: articles that this run has to settle; None where nobody knows.

        Returns:
            What killed runs may have lost so far, and how many of these calls were the last run's.

        Raises:
            Stopped: another run has taken over.
        """
        while True:
            state, etag = self._read()
            self._own(state)
            settled, lost = self._settled(), state.lost
            until = None if left is None else settled + left
            if before := state.in_doubt(settled):
                earlier, one = math.inf if state.limit is None else state.limit, state.usd / state.open
                doubt = most_in_doubt(one * before, one, earlier, booked + lost.usd)
                lost = Lost(runs=lost.runs + 1, calls=lost.calls + before, usd=lost.usd + doubt)
            known = limit if math.isfinite(limit) else None
            if self._write(State(open=calls, usd=usd, limit=known, lost=lost, until=until), etag):
                self._started = True
                return lost, before

    def beat(self) -> None:
        """Give a sign of life.

        Raises:
            Stopped: another run has taken over.
        """
        state, etag = self._read()
        self._own(state)
        self._beats += 1
        self._write(state, etag)

    async def heartbeat(self, stop: Callable[[BaseException], None]) -> None:
        """Give signs of life until cancelled.

        Args:
            stop: called with the error where another run has taken over.
        """
        while True:
            await asyncio.sleep(BEAT)
            try:
                await asyncio.to_thread(self.beat)
            except Stopped as error:
                stop(error)
                return
            except Exception:
                continue  # the store is out; the journal will say so, or it comes back

    def release(self, calls: int = 0, usd: float = 0.0) -> None:
        """Release the lock at the end of a run; calls that were broken off in flight stay in doubt, but nobody has to wait.

        Args:
            calls: how many were broken off.
            usd: the most that was paid and is not in the journal, in US dollars.

        Raises:
            StoreError: the store can't be written, at a second try neither. Later runs then book as many calls as this one left
                articles unsettled, though they are all known.
        """
        try:
            self._release(calls, usd)
        except StoreError as error:
            if error.__cause__ is not None and is_outage(error.__cause__):
                raise  # tried for long enough
            self._release(calls, usd)

    def _release(self, calls: int, usd: float) -> None:
        while True:
            state, etag = self._read()
            if state.holder is None or state.holder.id != self._id:
                return  # another run's by now
            if self._started:
                state = State(open=max(calls, int(usd > 0)), usd=usd, lost=state.lost)
            if self._write(state, etag, holder=False):
                return

    def _own(self, state: State) -> None:
        if state.holder is None or state.holder.id != self._id:
            raise Stopped(
                "stopped: another run has taken over, since this one gave no sign of life for a while",
                hint="wait for it; the same command then finds its labels",
            )

    def _read(self) -> tuple[State, str | None]:
        try:
            present = self._store.current(self._key, max_bytes=1 << 16)
        except TooLarge:
            return State(), self._store.etag(self._key)
        if present is None:
            return State(), None
        try:
            return State.read(present[0], self._key), present[1]
        except StoreError:  # a damaged document counts for nothing; labels and their cost are in the journal
            return State(), present[1]

    def _write(self, state: State, etag: str | None, *, holder: bool = True) -> bool:
        """Write the state; return False if somebody was faster."""
        me = Holder(id=self._id, machine=_machine(), pid=os.getpid(), beat=self._beats) if holder else None
        state = state.model_copy(update={"holder": me, "records": max(state.records, self._records())})
        try:
            self._store.put_if(self._key, state.to_bytes(), etag=etag)
        except Conflict:
            return False
        return True


def _machine() -> str:
    """Return a name for this machine and, where it has several, its space of process numbers; it discloses nothing about it."""
    known = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            known.append(os.readlink(path) if "ns" in path else Path(path).read_text(encoding="ascii"))
        except OSError:
            continue
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def _gone(holder: Holder) -> bool:
    """Return True if the run's process is known to have ended."""
    if holder.machine != _machine() or holder.pid < 1:
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
