"""Money: reserved before a call at the worst that it can cost, settled afterwards with what it did.

Checking first and adding later would overspend by all calls in flight. The price is the end of a budget, where calls go one
by one because the worst case no longer fits twice: at most one call's worst case is left unspent.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from dataclasses import asdict, dataclass

from components.labeling.oracles import Usage
from components.store import Conflict, Store


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


@dataclass
class Lost:
    """Calls of killed runs that may have been paid without a label, at most. usd: at the worst."""

    runs: int = 0
    calls: int = 0
    usd: float = 0.0


class RunMark:
    """`run.json` beside the journal: that a run is under way, and what it can lose if it is killed."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._key = store, f"{prefix}/run.json"

    def begin(self, calls: int, usd: float) -> tuple[Lost, int]:
        """Marks the run; what killed runs may have lost so far, and how many calls of it the last one."""
        while True:
            found = self._store.current(self._key, max_bytes=1 << 16)
            lost, open_calls, open_usd = self._read(found[0] if found else b"{}")
            if open_calls:
                lost = Lost(lost.runs + 1, lost.calls + open_calls, lost.usd + open_usd)
            try:
                self._write(lost, calls, usd, found[1] if found else None)
                return lost, open_calls
            except Conflict:
                continue

    def end(self, unknown_calls: int, unknown_usd: float) -> None:
        """The run ended in order; only calls without a bill stay in doubt."""
        while True:
            found = self._store.current(self._key, max_bytes=1 << 16)
            lost, _, _ = self._read(found[0] if found else b"{}")
            try:
                self._write(
                    Lost(lost.runs, lost.calls + unknown_calls, lost.usd + unknown_usd), 0, 0.0, found[1] if found else None
                )
                return
            except Conflict:
                continue

    def _read(self, data: bytes) -> tuple[Lost, int, float]:
        try:
            fields = json.loads(data)
            return Lost(**fields.get("lost", {})), int(fields.get("open", 0)), float(fields.get("usd", 0))
        except (ValueError, TypeError, AttributeError):
            return Lost(), 0, 0.0  # a damaged mark counts for nothing; labels and their cost are in the journal

    def _write(self, lost: Lost, calls: int, usd: float, etag: str | None) -> None:
        data = json.dumps({"open": calls, "usd": usd, "lost": asdict(lost)}, sort_keys=True).encode()
        self._store.put_if(self._key, data, etag=etag)


def most_tokens(prompt_bytes: int, extra_bytes: int, output: int) -> Usage:
    """The most that a call can be billed for: no tokenizer makes more tokens than bytes."""
    return Usage(prompt_bytes + extra_bytes, 0, output)
