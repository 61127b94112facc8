"""The engine: articles to an oracle, answers to the journal; many calls at once on one event loop, three attempts an article.

An article keeps its place until its answer is in the store, so `concurrency` limits what a kill can lose. Where calls take
100 ms and more, an eighth as many articles are in hand besides, so that the oracle stays busy during the shared put of
5 to 10 ms (two fsyncs): up to 8 more answers at risk with 64 calls, and 5% more labels a second.

One call within every limit is `calls`. Here are the attempts at an article, what becomes of a reply, and what is booked for it.
After a stop no further call begins, and those in flight are awaited and kept.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from distillery.components.articles.articles import Article, clean
from distillery.components.labeling.breaker import Breaker
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.calls import Calls, Halt
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.ledger import Ledger
from distillery.components.labeling.limits import Clock
from distillery.components.labeling.oracles.base import (
    NOTHING,
    Oracle,
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
)
from distillery.components.labeling.oracles.prices import Price
from distillery.components.labeling.pace import LONGEST_LIMITED
from distillery.components.labeling.records import Answer, Attempt, DeadLetter, Failure, GivenUp, Record
from distillery.components.labeling.replies import Reply, read_reply
from distillery.components.labeling.tally import Tally
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter
from distillery.filters.prompt import article_part, prompt_prefix

T = TypeVar("T")

ATTEMPTS: Final = 3  # at one article
KEPT_CHARACTERS: Final = 20_000  # of a raw reply, in a dead letter
CONCURRENCY: Final = 64
SPARE: Final = 8  # one more article in hand for so many calls, while answers are on their way to the store …
WORTH_HIDING: Final = 0.1  # … where a call takes at least so many seconds
TRIES: Final = 5  # calls without a reply that make one failed attempt
PAUSE: Final = 0.25  # seconds before the second try; doubles, up to LONGEST_PAUSE
LONGEST_PAUSE: Final = 8.0
COLLECTIONS: Final = (5_000, 20, 50)  # objects, and rounds, between two searches for garbage
QUICK_REPLY: Final = 2_000  # characters that are read at once …
QUICK_ARTICLE: Final = 8_000  # … where the article that a reply may obey has no more than this
READERS: Final = 2  # threads that read longer ones


class Engine:
    """Asks one oracle in one run; without a price no money is counted.

    `concurrency` is the most calls at once, and so the most that a kill can lose.
    """

    def __init__(
        self,
        flt: Filter,
        oracle: Oracle,
        journal: Journal,
        tally: Tally,
        *,
        concurrency: int = CONCURRENCY,
        price: Price | None = None,
        budget: Budget | None = None,
        progress: Progress = quiet,
        clock: Clock = time.monotonic,
    ) -> None:
        spec = flt.spec.oracle
        self.flt, self.oracle, self.journal, self.tally, self.progress = flt, oracle, journal, tally, progress
        self.budget = budget or Budget()
        self.ledger = Ledger(flt, tally, price, self.budget)
        self.concurrency, self._clock = concurrency, clock
        self._breaker = Breaker(spec.model, flt.dimensions, lambda: tally.answered, clock)
        self.calls = Calls(
            oracle, spec, self.ledger, tally, self._breaker, concurrency=concurrency, on_stop=self.stop, clock=clock
        )
        self._prefix = prompt_prefix(flt)
        self._error: BaseException | None = None
        self._done = False
        self._reading = asyncio.Semaphore(READERS)

    def request(self, article: Article, attempt: int) -> Request:
        """Return the request for an attempt at an article.

        Args:
            article: the article.
            attempt: number of the attempt, from 1.

        Returns:
            The request, with the prompt.
        """
        return Request(article, self._prefix, article_part(self.flt, article.title, article.content), attempt)

    async def run(self, articles: Iterable[tuple[Digest, Article]]) -> None:
        """Settle every article: each gets a label or a dead letter.

        Args:
            articles: the articles to ask about, each behind its digest.

        Raises:
            Stopped: the budget, the breaker or most articles' failure ended the run; calls in flight are kept first.
        """
        if self.tally.collapsed:
            raise self._collapsed()
        feed = iter(articles)
        spare, began = self.concurrency // SPARE, self._clock()
        tasks = [asyncio.create_task(self._work(feed)) for _ in range(self.concurrency)]
        tasks += [asyncio.create_task(self._work_aside(feed)) for _ in range(spare)]
        deadline = asyncio.create_task(self.calls.deadline.enforce())
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, deadline):
                task.cancel()
            await asyncio.gather(*tasks, deadline, return_exceptions=True)
            await self.journal.settle()
            self.tally.seconds = self._clock() - began
        if self._error is not None:
            raise self._error

    async def _work(self, feed: Iterator[tuple[Digest, Article]]) -> None:
        while not self.calls.stopping and (article := next(feed, None)):
            await self._kept(*article)
        self._done = True

    async def _kept(self, digest: Digest, article: Article) -> None:
        try:
            await self._settle(digest, article)
        except Halt:
            return
        except Exception as error:
            self.stop(error)

    async def _work_aside(self, feed: Iterator[tuple[Digest, Article]]) -> None:
        """Make a call while another worker waits for the store; only where a call takes so long that this is a share of it."""
        while not self._done and not self.calls.stopping:
            if self.calls.slots.usual < WORTH_HIDING:
                await asyncio.sleep(WORTH_HIDING)
            elif article := next(feed, None):
                await self._kept(*article)
            else:
                self._done = True

    def stop(self, error: BaseException) -> None:
        """Let no further call begin; `run` raises the error once those in flight are kept.

        Args:
            error: why; the first one counts.
        """
        self._error = self._error or error
        self.calls.stop()

    async def _settle(self, digest: Digest, article: Article) -> None:
        """Make all attempts at one article; it is counted only when the outcome is durable."""
        tally = self.tally
        failed = self.journal.failures(digest)
        costly = bool(failed)  # something was answered or paid, so that it is not to be done again at every start
        while True:
            outcome = await self._attempt(digest, self.request(article, len(failed) + 1))
            if isinstance(outcome, Answer):
                await self._book(outcome)
                tally.answered += 1
                break
            failed.append(outcome.attempt)
            paid = outcome.attempt.reply is not None or bool(outcome.usage)
            costly = costly or paid
            if len(failed) >= ATTEMPTS:
                letter = DeadLetter(digest, tuple(failed), outcome.usage, outcome.usd)
                if costly:
                    await self._book(letter)
                else:
                    self.journal.hold(letter)
                tally.count_dead(outcome.attempt.reason)
                break
            if paid:
                await self._book(outcome)
        tally.asked += 1
        money = {"usd": round(tally.usd, 4)} if self.ledger.price else {}
        self.progress(tally.settled, tally.total, "articles", dead=str(tally.dead), **money)
        if tally.collapsed:
            self.stop(self._collapsed())

    async def _book(self, record: Record) -> None:
        """Make a record durable, and with it its cost."""
        await self.journal.add(record)
        self.budget.keep(record.usd)

    async def _book_besides(self, digest: Digest) -> None:
        """Make durable what calls were billed besides their replies."""
        ledger = self.ledger
        while ledger.besides:
            besides = ledger.besides.pop(0)
            usage = NOTHING if besides.unknown else besides.usage
            await self._book(GivenUp(digest, besides.what, ledger.usd(besides.usage), usage))

    async def _attempt(self, digest: Digest, request: Request) -> Answer | Failure:
        """Make one attempt: return the answer, after as many calls as it takes to get a reply, or why there is none."""
        began = self._clock()
        try:
            raw, usd, began = await self._reply(digest, request)
        except OracleError as error:
            reason, usd = str(error), self.ledger.usd(error.usage)
            if isinstance(error, Refused):
                self.calls.tell(lambda: self._breaker.failed(reason, began, paid=True))
            return Failure(digest, Attempt(clean(reason), None), error.usage, usd)
        return await self.judge(digest, request, raw, usd, began)

    async def judge(self, digest: Digest, request: Request, raw: RawReply, usd: float, began: float) -> Answer | Failure:
        """Read a reply and tell the breaker.

        Args:
            digest: the article's digest.
            request: what was asked.
            raw: the reply.
            usd: what it counts as, in US dollars.
            began: when its call began, by the clock.

        Returns:
            The answer, or the failed attempt where the reply is not usable.
        """
        tally = self.tally
        if raw.version:
            tally.versions[raw.key.hidden(raw.version)] += 1
        try:
            reply = await self._read(request.article, raw)
        except ValueError as error:
            reason = str(error)
            self.calls.tell(lambda: self._breaker.failed(reason, began, paid=True))
            return Failure(
                digest, Attempt(clean(reason), raw.key.hidden(clean(raw.text))[:KEPT_CHARACTERS]), raw.usage or NOTHING, usd
            )
        tally.repaired += bool(reply.repaired)
        scores = tuple(reply.scores.values())
        self.calls.tell(lambda: self._breaker.labelled(scores))
        return Answer(digest, scores, reply.content_type, raw.usage or NOTHING, usd, raw.key.hidden(raw.version))

    async def _read(self, article: Article, raw: RawReply) -> Reply:
        """Read a reply; a long one, or one to a long article, in a thread, so that calls in flight don't wait for it.

        A tenth of a millisecond is what the thread costs. The longest reply that is read at all takes a second or less.
        """
        if len(raw.text) <= QUICK_REPLY and len(article.content) <= QUICK_ARTICLE:
            return read_reply(self.flt, article, raw)
        async with self._reading:
            return await asyncio.to_thread(read_reply, self.flt, article, raw)

    async def _reply(self, digest: Digest, request: Request) -> tuple[RawReply, float, float]:
        """Call until there is a reply; return it, its cost and when its call began, or raise OracleError when none comes."""
        silent = limited = 0
        while True:
            try:
                return await self._call(digest, request)
            except RateLimited as error:
                limited += 1
                wait = _wait(error, limited)
            except Unavailable as error:
                silent += 1
                if silent >= TRIES or error.usage:
                    raise
                wait = _wait(error, silent)
            await self.calls.rest(wait)

    async def _call(self, digest: Digest, request: Request) -> tuple[RawReply, float, float]:
        """Make one call; where nobody knows what it was billed, its worst case is durable before anything else is asked."""
        try:
            return await self.calls.make(request)
        except OracleError as error:
            attempt = not isinstance(error, RateLimited | OutOfCredit)
            known = error.usage if attempt else NOTHING  # booked with the failed attempt, where it is one
            if doubt := error.booked - self.ledger.usd(known):
                await self._book(GivenUp(digest, clean(str(error)), doubt))
            if isinstance(error, OutOfCredit):
                raise Halt from None  # and the breaker has stopped the run
            raise
        finally:
            await self._book_besides(digest)

    def _collapsed(self) -> Stopped:
        tally = self.tally
        return Stopped(
            f"stopped: {tally.dead} of {tally.settled} articles failed {ATTEMPTS} attempts, most "
            f"often because {tally.main_reason()} (oracle {self.flt.spec.oracle.model})",
            hint=f"mend oracle or rubric and start again, with --retry-dead if the rubric is the same; the "
            f"{tally.answered} labels so far are kept",
        )


def _wait(error: OracleError, number: int) -> float:
    """Return how long to wait after the n-th refusal of a call: as long as the service says, else longer each time."""
    if error.retry_after is not None:
        return min(LONGEST_LIMITED, error.retry_after) * random.uniform(1.0, 1.1)
    return _backoff(number)


def _backoff(number: int) -> float:
    return min(LONGEST_PAUSE, PAUSE * 2.0 ** min(10, number - 1)) * random.uniform(0.5, 1.5)


def run(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end, also where an event loop is running already, as in a notebook.

    Args:
        work: the coroutine.

    Returns:
        Its result.
    """
    with _few_collections():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()


@contextmanager
def _few_collections() -> Iterator[None]:
    """Collect garbage less often, and not among the modules.

    Collecting takes 5% of a call's processor time, and each full collection holds up all calls for 55 to 85 ms.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
