"""A gateway that bills each call, says what it billed or not, and knows its whole bill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from distillery.components.articles.articles import Article
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.label import open_journal
from distillery.components.labeling.ledger import Ledger
from distillery.components.labeling.oracles.base import RateLimited, RawReply, Refused, Request, Unavailable, Usage
from distillery.components.labeling.oracles.prices import Price, Prices
from distillery.components.labeling.tally import Tally
from distillery.components.store import Store
from distillery.filters.filter import Filter
from distillery.filters.prompt import article_part
from tests.labeling.slow_labeling import PRICE

PRICES = Prices({"recorded": (PRICE, "today")})


def rows(n: int) -> list[dict[str, object]]:
    return [{"id": f"a{n}", "title": f"Pump {n}", "content": f"Pump number {n} heats {n * 7} homes."} for n in range(n)]


def most(flt: Filter, price: Price = PRICE) -> float:
    article = Article("a39", "Pump 39", "Pump number 39 heats 273 homes.")
    request = Request(article, "", article_part(flt, article.title, article.content), 1)
    return Ledger(flt, Tally(0, 0, 0), price, Budget()).most(request)


class Gateway:
    """Bills every call by `share` of its worst case, and says so, or not, as `states` has it for the n-th call."""

    def __init__(self, flt: Filter, share: float, states: Callable[[int], str]) -> None:
        self.identity: Mapping[str, Any] = {"provider": "gateway"}
        self.bill, self.asked = 0.0, list[str]()
        self._one, self._states = share * most(flt), states

    async def ask(self, request: Request) -> RawReply:
        what = self._states(len(self.asked))
        self.asked.append(request.article.id)
        await asyncio.sleep(0.001)
        if what == "429":
            raise RateLimited("turned away")
        self.bill += self._one
        usage = Usage(round(self._one * 1e6), 0, 0) if what == "stated" else None
        if what == "500":
            raise Unavailable("500", unknown=True)
        if what == "filtered":
            raise Refused("400 filtered", unknown=True)
        if what == "malformed":
            return RawReply("no scores", usage)
        digest = int(request.article.digest[:8], 16)
        return RawReply(json.dumps({"readiness": digest % 11, "benefit": digest // 11 % 11}), usage)

    async def close(self) -> None:
        pass


def booked(store: Store, flt: Filter) -> tuple[float, float]:
    journal = open_journal(store, flt, {"provider": "gateway"})
    assert journal.damaged == 0
    return journal.usd, journal.unknown_usd
