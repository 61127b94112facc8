"""One call to the oracle within every limit: a place, the pace, the minute's share, money, and a deadline.

All waiting is done here. After a stop no further call begins, and those in flight are awaited and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from distillery.components.labeling.breaker import Breaker
from distillery.components.labeling.deadline import Deadline
from distillery.components.labeling.ledger import Ledger
from distillery.components.labeling.limits import Clock, Rate, Slots
from distillery.components.labeling.oracles.base import (
    NOTHING,
    Oracle,
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Request,
    Unavailable,
)
from distillery.components.labeling.pace import Pace
from distillery.components.labeling.tally import Tally
from distillery.filters.errors import InputError, Stopped
from distillery.filters.spec import Oracle as OracleSpec

BYTES_PER_TOKEN: Final = 4  # on average, for the per-minute limit; a budget counts every byte


class Halt(Exception):
    """No further call may begin."""


class Calls:
    """Makes the calls of one run; `on_stop` is called with the error where no further call may begin.

    Attributes:
        slots: the places for calls in flight.
        pace: how fast calls may begin.
        deadline: how long a call may take.
        broken_off: calls that were cancelled in flight; their worst case is in doubt.
        stopping: whether no further call may begin.
    """

    def __init__(
        self,
        oracle: Oracle,
        spec: OracleSpec,
        ledger: Ledger,
        tally: Tally,
        breaker: Breaker,
        *,
        concurrency: int,
        on_stop: Callable[[BaseException], None],
        clock: Clock,
    ) -> None:
        self.slots, self.pace = Slots(concurrency, clock), Pace(concurrency, clock)
        self.deadline = Deadline(spec.timeoutSeconds, clock)
        self.broken_off = 0
        self._oracle, self._ledger, self._tally, self._breaker = oracle, ledger, tally, breaker
        self._requests, self._tokens = Rate(spec.requestsPerMinute, clock), Rate(spec.tokensPerMinute, clock)
        self._counts_tokens = spec.tokensPerMinute is not None
        self._on_stop, self._clock, self.stopping = on_stop, clock, False

    def stop(self) -> None:
        """Let no further call begin, those that wait included."""
        self.stopping = True
        self.pace.stop()
        self._ledger.budget.stop()

    async def rest(self, seconds: float, *, whole: bool = False) -> None:
        """Wait before a call is made.

        Args:
            seconds: how long.
            whole: whether it is waited to the end where a storm begins to end meanwhile.

        Raises:
            Halt: the run was stopped meanwhile.
        """
        await self.pace.rest(seconds, whole=whole)
        if self.stopping:
            raise Halt

    def tell(self, what: Callable[[], None]) -> None:
        """Tell the breaker; where it trips, the run stops, and what is in hand is still kept.

        Args:
            what: tells it.
        """
        try:
            what()
        except Stopped as error:
            self._on_stop(error)

    async def make(self, request: Request) -> tuple[RawReply, float, float]:
        """Make one call; the money reserved for it is settled whatever happens.

        Args:
            request: the question.

        Returns:
            The reply, what it counts as in US dollars, and when the call began, by the clock.

        Raises:
            OracleError: there is no reply.
            Halt: the run was stopped, or the budget has no room for the call.
        """
        slots, pace = self.slots, self.pace
        began = await slots.acquire()
        try:
            if pace.storm:
                await pace.turn()
            most = await self._afford(request)
            began = self._clock()
            raw, usd = await self._ask(request, most)
            slots.answered(began)
            if pace.answered(began):
                slots.restore()
            self._breaker.replied()
            return raw, usd, began
        except RateLimited as error:
            self._tally.limited += 1
            slots.limited(began)
            pace.refused(error.retry_after)
            self.tell(self._breaker.limited)
            raise
        except Unavailable as error:
            slots.limited(began)
            pace.refused(error.retry_after)
            reason = str(error)
            self.tell(lambda: self._breaker.failed(reason, began, paid=False))
            raise
        except OutOfCredit as error:
            reason = str(error)
            self.tell(lambda: self._breaker.out_of_credit(reason))
            raise
        finally:
            slots.release()

    async def _afford(self, request: Request) -> float:
        """Wait for the minute's share and for money; return what was reserved."""
        ledger = self._ledger
        wait = max(self._requests.wait(), self._tokens.wait(self._estimate(request)))
        if wait > 0:
            await self.rest(wait, whole=True)
        if not await ledger.budget.reserve(most := ledger.most(request)):
            self._on_stop(ledger.over(most))
            raise Halt
        if self.stopping:
            ledger.budget.settle(most, 0.0)
            raise Halt
        return most

    async def _ask(self, request: Request, most: float) -> tuple[RawReply, float]:
        self._tally.calls += 1
        settle = partial(self._ledger.settle, request, most)
        try:
            raw = await self.deadline.within(self._oracle.ask(request))
        except (OracleError, TimeoutError) as caught:
            error = caught
            if not isinstance(error, OracleError):
                error = Unavailable(f"no reply in {self.deadline.seconds:.3g} s", unknown=True)
            error.booked = settle(error.usage, unknown=error.unknown)
            raise error from None
        except InputError:  # refused before the article was read
            settle(NOTHING)
            raise
        except BaseException:  # broken off: cancelled, an interrupt, or an error that nobody foresaw
            self.broken_off += 1
            settle(None)
            raise
        if raw.usage and self._counts_tokens:
            self._tokens.correct(raw.usage.input_tokens + raw.usage.output_tokens - self._estimate(request))
        usd = settle(raw.usage)
        if usd > most:
            self._ledger.learn(request, usd)
        return raw, usd

    def _estimate(self, request: Request) -> float:
        if not self._counts_tokens:
            return 0.0
        return self._ledger.prompt_bytes(request) / BYTES_PER_TOKEN
