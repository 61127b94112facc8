"""The engine in virtual time: an event loop that jumps to the next timer, and an oracle in memory that plays moods.

A minute takes as long as its calls are many, and the figures are the same on any machine: nothing is timed.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from distillery.components.articles.articles import Article
from distillery.components.labeling.engine import Engine
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.oracles.base import RateLimited, RawReply, Request, Unavailable, Usage
from distillery.components.labeling.tally import Tally
from distillery.components.store import Digest, Store, digest_json
from distillery.filters.digests import rubric_digest
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter
from tests.labeling.oracles.moods import Mood, mood_at

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still while anything is to be done; work for threads is done at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self.now = max(self.now, scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]

    def run_in_executor(self, executor: Any, work: Callable[..., Any], *arguments: Any) -> Any:
        done = self.create_future()
        try:
            done.set_result(work(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


class MoodyOracle:
    """Plays moods in memory; `began` and `answered` are as those of `MoodyServer`."""

    def __init__(self, loop: VirtualLoop, moods: Sequence[Mood], seed: int = 0) -> None:
        self.identity: Mapping[str, Any] = {"provider": "moody"}
        self.began: list[tuple[float, str]] = []
        self.answered: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.flying: list[tuple[float, int]] = []  # calls in flight after each began
        self.first_answer: float | None = None
        self._loop, self._moods, self._draw = loop, moods, random.Random(seed)
        self._start = loop.time()

    async def ask(self, request: Request) -> RawReply:
        now = self._loop.time() - self._start
        mood, name = mood_at(self._moods, now), request.article.id
        fault = mood.draw(self._draw)
        self.began.append((now, fault))
        self.asked[name] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.flying.append((now, self.in_flight))
        try:
            await asyncio.sleep(90 if fault == "hang" else mood.lasts(self._draw))
            if fault == "429":
                raise RateLimited("429", retry_after=mood.retry_after)
            if fault == "500":
                raise Unavailable("500", unknown=True)
        finally:
            self.in_flight -= 1
        if fault == "malformed":
            return RawReply("no scores", Usage(300, 0, 40))
        self.answered[name] += 1
        if self.first_answer is None:
            self.first_answer = self._loop.time() - self._start
        digest = int(request.article.digest[:8], 16)
        return RawReply(json.dumps({"readiness": digest % 11, "benefit": digest // 11 % 11}), Usage(300, 0, 40))

    async def close(self) -> None:
        pass


def articles(n: int) -> list[tuple[Digest, Article]]:
    made = [Article(f"a{number}", f"Pump {number}", f"Pump number {number} heats {number * 7} homes.") for number in range(n)]
    return [(article.digest, article) for article in made]


class Played:
    """A run of the engine over some articles in virtual time."""

    def __init__(
        self,
        store: Store,
        flt: Filter,
        n: int,
        moods: Sequence[Mood],
        *,
        concurrency: int = 32,
        seed: int = 0,
        meanwhile: Callable[[VirtualLoop, Engine], Coroutine[None, None, None]] | None = None,
        **options: Any,
    ) -> None:
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        try:
            self.oracle = MoodyOracle(loop, moods, seed)
            self.journal = Journal(
                store,
                flt.name,
                rubric=Digest(rubric_digest(flt)),
                oracle=digest_json(dict(self.oracle.identity)),
                dimensions=flt.dimensions,
            )
            self.tally = Tally(total=n, answered=0, dead=0)
            self.engine = Engine(
                flt, self.oracle, self.journal, self.tally, concurrency=concurrency, clock=loop.time, **options
            )
            self.lowest = float(concurrency)

            async def watch() -> None:
                while True:
                    self.lowest = min(self.lowest, self.engine.calls.slots.limit)
                    await asyncio.sleep(0.1)

            async def work() -> None:
                beside = [asyncio.create_task(watch())]
                if meanwhile is not None:
                    beside.append(asyncio.create_task(meanwhile(loop, self.engine)))
                try:
                    await self.engine.run(articles(n))
                finally:
                    for task in beside:
                        task.cancel()

            began = loop.time()
            self.stopped: Stopped | None = None
            try:
                loop.run_until_complete(work())
            except Stopped as error:
                self.stopped = error
            self.seconds = loop.time() - began
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def most_within(self, seconds: float, begin: float, end: float) -> int:
        """The most calls that began within so many seconds of one another, of those from `begin` to `end`."""
        times = [at for at, _ in self.oracle.began if begin <= at <= end]
        return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)
