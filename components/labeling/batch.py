"""The engine for batch oracles: all open articles in one go, up to three times over, each reply kept as it arrives.

A job can't be unbought. So what stops a run (budget, breaker) stops the next job, while replies that are paid are still taken
in. The cost of that: a budget that is nearly used up is spent in several jobs, one after the other, since each request reserves
its worst case until its reply is there.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain
from typing import Any

from distillery.components.articles.articles import Article, clean
from distillery.components.labeling.breaker import AGAIN
from distillery.components.labeling.engine import ATTEMPTS, Engine
from distillery.components.labeling.oracles.base import (
    BatchOracle,
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
)
from distillery.components.labeling.oracles.prices import Price
from distillery.components.labeling.records import Answer, Attempt, DeadLetter, Failure
from distillery.components.store import Digest
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter


class BatchEngine(Engine):
    """An engine whose calls are rows of batch jobs; `price` is the online price of the model."""

    def __init__(self, flt: Filter, oracle: BatchOracle, *arguments: Any, price: Price | None = None, **options: Any) -> None:
        super().__init__(flt, oracle, *arguments, price=price and batch_price(price), **options)  # type: ignore[arg-type]
        self._batch = oracle
        self._again: list[tuple[Digest, Article]] = []  # failed, and not for the last time
        self._unpaid: defaultdict[Digest, list[Attempt]] = defaultdict(list)  # failed attempts that no journal keeps
        self._fed = 0
        self._short = 0.0  # what the first request costs at most that the budget has no room for

    async def run(self, articles: Iterable[tuple[Digest, Article]]) -> None:
        """Settle every article: each gets a label or a dead letter.

        Args:
            articles: the articles to ask about, each behind its digest.

        Raises:
            Stopped: the budget, the breaker or the service ended the run; replies that were paid are kept first.
        """
        if self.tally.collapsed:
            raise self._collapsed()
        feed = iter(articles)
        while True:
            again, self._again, self._fed, self._short = self._again, [], 0, 0.0
            feed = chain(again, feed)
            try:
                await self._batch.run(self._rows(feed), self._keep, self.progress.note)
            except CancelledError:
                if self._fed:
                    self.progress.note("the batch jobs run on, and the same command takes in what they have done")
                raise
            except OutOfCredit as error:
                self._breaker.out_of_credit(str(error))
            except (Unavailable, RateLimited) as error:
                raise Stopped(
                    f"stopped: the batch service can't be reached: {error}",
                    hint=f"{AGAIN}; jobs that were submitted run on and are found again",
                ) from None
            finally:
                await self.journal.settle()
            if self._error is not None:
                raise self._error
            if not self._fed:
                break
        if self._short:
            raise self.ledger.over(self._short)

    async def _rows(self, feed: Iterator[tuple[Digest, Article]]) -> AsyncIterator[Request]:
        """Yield as many requests as the budget has room for; the others wait for the next job, when these are settled."""
        for digest, article in feed:
            # Numbered on behind those of a dead letter: the same number would take up the reply that was no use.
            request = self.request(article, self.journal.tried(digest) + len(self._failed(digest)) + 1)
            most = self.ledger.most(request)
            if not self.budget.take(most):
                self._again.append((digest, article))
                self._short = most
                break
            self.tally.calls += 1
            self._fed += 1
            yield request
        if self._fed:
            self.progress.note(
                f"{self._fed:,} requests go into batch jobs, which may take a day; stop whenever you like: "
                "the jobs run on, and the same command takes in what they have done"
            )

    def _failed(self, digest: Digest) -> list[Attempt]:
        return [*self.journal.failures(digest), *self._unpaid[digest]]

    async def _keep(self, request: Request, outcome: RawReply | OracleError) -> None:
        """Make the outcome of one row durable, then count it."""
        journal, tally, digest = self.journal, self.tally, request.article.digest
        unknown = isinstance(outcome, OracleError) and outcome.unknown
        usd = self.ledger.settle(request, self.ledger.most(request), outcome.usage, unknown=unknown, kept=True)
        await self._book_besides(digest)
        record: Answer | Failure
        if isinstance(outcome, RawReply):
            record = await self.judge(digest, request, outcome, usd, self._clock())
        else:
            record = Failure(digest, Attempt(clean(str(outcome)), None), outcome.usage, usd)
        if isinstance(record, Answer):
            await journal.add(record)
            tally.answered += 1
        else:
            failed = [*self._failed(digest), record.attempt]
            paid = record.attempt.reply is not None or bool(record.usage or record.usd)
            if len(failed) < ATTEMPTS and isinstance(outcome, RawReply | Refused):
                if paid:
                    await journal.add(record)
                else:
                    self._unpaid[digest].append(record.attempt)
                self._again.append((digest, request.article))
                return
            letter = DeadLetter(digest, tuple(failed), record.usage, usd)
            if paid or len(self._unpaid[digest]) + 1 < len(failed):
                await journal.add(letter)
            else:
                journal.hold(letter)  # nothing was answered or paid: the next run asks again
            tally.count_dead(record.attempt.reason)
        self._unpaid.pop(digest, None)
        tally.asked += 1
        money = {"usd": round(tally.usd, 4)} if self.ledger.price else {}
        self.progress(tally.settled, tally.total, "articles", dead=str(tally.dead), **money)


def batch_price(price: Price) -> Price:
    """Return the price of the batch route as if it were a price of its own.

    Args:
        price: the online price of the model.

    Returns:
        The price with the batch discount; a cached prefix is no cheaper there.
    """
    factor = price.batch or 1.0
    return price.model_copy(update={"input": price.input * factor, "output": price.output * factor, "cached": None})
