"""The ledger of a run: what a call can cost at most, what it did cost, and what nobody knows.

Unknown is not nothing: a call without a readable bill is booked at its worst case, and stays so until it is known. A service
that bills more than the worst case (a prompt of its own, a token limit that it ignores) raises the worst case of later calls.
"""

from __future__ import annotations

from typing import Final

from distillery.components.labeling.breaker import AGAIN
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.oracles.base import NOTHING, Besides, Request, Usage
from distillery.components.labeling.oracles.prices import Price
from distillery.components.labeling.oracles.usage import most_tokens
from distillery.components.labeling.tally import Tally
from distillery.components.store import canonical_json
from distillery.filters.errors import OverBudget
from distillery.filters.filter import Filter
from distillery.filters.prompt import prompt_prefix, reply_schema

EXTRA_BYTES: Final = 256  # roles and separators that a service adds to the prompt


class Ledger:
    """Books the calls of one run; without a price no money is counted.

    Attributes:
        price: what the model costs; None where no money is counted.
        budget: what may still be spent.
        besides: what calls were billed besides their replies: booked, and not durable yet.
    """

    def __init__(self, flt: Filter, tally: Tally, price: Price | None, budget: Budget) -> None:
        spec = flt.spec.oracle
        self.price, self.budget, self._tally = price, budget, tally
        self._prefix_bytes = len(prompt_prefix(flt).encode())
        self._extra_bytes = EXTRA_BYTES + len(canonical_json(reply_schema(flt)))
        self._output = spec.maxOutputTokens + max(0, spec.thinkingBudget or 0)
        self._factor = 1.0
        self.besides: list[Besides] = []

    def prompt_bytes(self, request: Request) -> int:
        """Return the size of a prompt.

        Args:
            request: the call.

        Returns:
            Bytes.
        """
        return self._prefix_bytes + len(request.part.encode())

    def most(self, request: Request) -> float:
        """Return the most that a call can cost.

        Args:
            request: the call.

        Returns:
            US dollars; 0 where no price is known.
        """
        return self._factor * self._worst(request)

    def learn(self, request: Request, usd: float) -> None:
        """Hear that a call was billed more than its worst case: later ones may be, too.

        Args:
            request: the call.
            usd: its bill, in US dollars.
        """
        if worst := self._worst(request):
            self._factor = max(self._factor, usd / worst)

    def usd(self, usage: Usage) -> float:
        """Return what tokens cost.

        Args:
            usage: the tokens.

        Returns:
            US dollars; 0 where no price is known.
        """
        return self.price.usd(usage) if self.price else 0.0

    def settle(self, request: Request, most: float, usage: Usage | None, *, unknown: bool = False, kept: bool = False) -> float:
        """Book a call in place of its reservation, and what it was billed besides.

        Args:
            request: the call.
            most: what was reserved for it, in US dollars.
            usage: what it was certainly billed; None where nobody knows.
            unknown: whether it may have been billed more, and nobody says how much.
            kept: whether the cost is durable already.

        Returns:
            What it counts as by itself, in US dollars.
        """
        while request.besides:
            self.besides.append(besides := request.besides.pop(0))
            usd = self.usd(besides.usage)
            self.budget.reserved += usd  # the call is made and paid, whether or not there was room for it
            self._book(usd, NOTHING if besides.unknown else besides.usage, unknown=besides.unknown, kept=False)
        return self._book(most, usage or NOTHING, unknown=unknown or usage is None, kept=kept)

    def _book(self, most: float, usage: Usage, *, unknown: bool, kept: bool) -> float:
        tally, usd = self._tally, self.usd(usage)
        self.budget.settle(most, usd, unknown=unknown, kept=kept)
        tally.usage, tally.usd = tally.usage + usage, tally.usd + usd
        if unknown:
            tally.unknown, tally.unknown_usd = tally.unknown + 1, tally.unknown_usd + most
        return usd + (most if unknown else 0.0)

    def over(self, most: float) -> OverBudget:
        """Return the error that the budget has no room for a call.

        Args:
            most: the most that the call can cost, in US dollars.

        Returns:
            The error, to be raised.
        """
        budget, tally = self.budget, self._tally
        doubt = f" (${budget.unknown:.4f} are held for calls whose bill nobody knows)" if budget.unknown else ""
        return OverBudget(
            f"stopped: the next call may cost ${most:.4f} and of the budget of ${budget.limit:g} "
            f"${max(0.0, budget.left):.4f} are left{doubt}; {tally.answered:,} of {tally.total:,} articles have a label",
            hint=f"give a larger --budget (what is spent already counts) and {AGAIN}",
            limit=budget.limit,
        )

    def _worst(self, request: Request) -> float:
        return self.usd(most_tokens(self.prompt_bytes(request), self._extra_bytes, self._output))
