"""Labels articles with an oracle that takes its time and writes down every call; started and killed by a test.

Arguments: store, articles, file of calls, seconds a call takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import RawReply, Request
from distillery.components.store import open_store
from distillery.filters.loading import load_filter_text

WORKERS = 8


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
            return RawReply(f'{{"readiness": {number}')
        return RawReply(json.dumps({"readiness": number % 11, "benefit": number % 21 / 2}))


if __name__ == "__main__":
    folder, articles, calls, seconds, text = sys.argv[1:]
    record = label(
        open_store(folder),
        load_filter_text(text, "demo.yaml"),
        articles=articles,
        oracle=Slow(calls, float(seconds)),
        concurrency=WORKERS,
        without_calibration="a test",
    )
    print(json.dumps(record.outputs))
