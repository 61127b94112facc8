"""Labels articles with an oracle that takes its time and writes down every call; started and killed by a test.

Arguments: store, articles, file of calls, seconds a call takes, the filter's text, and a budget in US dollars, if there is one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import RawReply, Request, Usage
from distillery.components.labeling.oracles.prices import Price, Prices
from distillery.components.store import open_store
from distillery.filters.loading import load_filter_text

WORKERS = 8
USAGE = Usage(300, 0, 40)
PRICE = Price(input=1.0, output=10.0)


class Slow:
    """Every tenth article never gets a usable reply, every seventh on the second attempt."""

    def __init__(self, calls: str, seconds: float) -> None:
        self.identity: Mapping[str, Any] = {"provider": "slow"}
        self._calls = os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._seconds = seconds

    async def ask(self, request: Request) -> RawReply:
        os.write(self._calls, f"{request.article.digest} {request.attempt}\n".encode())
        number = int(request.article.id.removeprefix("a"))
        await asyncio.sleep(self._seconds * (1 + number % 3))
        if number % 10 == 0 or (number % 7 == 0 and request.attempt == 1):
            return RawReply(f'{{"readiness": {number}', USAGE)
        return RawReply(json.dumps({"readiness": number % 11, "benefit": number % 21 / 2}), USAGE)


if __name__ == "__main__":
    folder, articles, calls, seconds, text, *budget = sys.argv[1:]
    record = label(
        open_store(folder),
        load_filter_text(text, "demo.yaml"),
        articles=articles,
        oracle=Slow(calls, float(seconds)),
        concurrency=WORKERS,
        without_calibration="a test",
        budget=float(budget[0]) if budget else None,
        prices=Prices({"recorded": (PRICE, "today")} if budget else {}),
    )
    print(json.dumps(record.outputs))
