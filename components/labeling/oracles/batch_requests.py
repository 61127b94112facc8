"""The requests of one batch job, on disk while the job runs, found again by their id.

A job holds up to 200,000 prompts and takes hours. In memory there is an id and a position for each, some 150 bytes.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from distillery.components.labeling.oracles.base import Request
from distillery.components.store import digest_json

MAX_REQUESTS: Final = 200_000
MAX_BYTES: Final = 1_000_000_000
LABEL: Final = "distillery"  # of a request: the service gives a reply its request back, labels included
ID: Final = 40

Row = Callable[[Request], dict[str, Any]]


class BatchRequests:
    """scope: what all requests have in common, so that ids differ between rubrics and oracles. row: a request as sent."""

    def __init__(self, scope: str, row: Row) -> None:
        self._scope, self._row = scope, row
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, open until close()
        self._at: dict[str, int] = {}
        self._prefix = ""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._at)

    @property
    def ids(self) -> set[str]:
        return set(self._at)

    def id(self, part: str, attempt: int) -> str:
        """Lower-case hexadecimal, which a label may hold."""
        return digest_json([self._scope, part, attempt])[:ID]

    def fits(self, size: int) -> bool:
        return len(self._at) < MAX_REQUESTS and self.bytes + size <= MAX_BYTES

    def add(self, request: Request, size: int) -> bool:
        """False: it is there already."""
        name = self.id(request.part, request.attempt)
        if name in self._at:
            return False
        self._prefix = request.prefix
        self._at[name] = self._file.seek(0, 2)
        pickle.dump((request.article, request.part, request.attempt), self._file)
        self.bytes += size
        return True

    def get(self, name: str) -> Request:
        self._file.seek(self._at[name])
        article, part, attempt = pickle.load(self._file)
        return Request(article, self._prefix, part, attempt)

    def line(self, request: Request) -> bytes:
        row = self._row(request) | {"labels": {LABEL: self.id(request.part, request.attempt)}}
        return json.dumps({"request": row}, ensure_ascii=False).encode() + b"\n"

    def write(self, names: Iterable[str], path: Path) -> None:
        """The job's input, JSON lines."""
        with path.open("wb") as stream:
            for name in names:
                stream.write(self.line(self.get(name)))

    def which(self, asked: object) -> str:
        """The id of a request that came back: its label, else worked out from its text. Empty: none of this batch."""
        if not isinstance(asked, dict):
            return ""
        name = (asked.get("labels") or {}).get(LABEL)
        if isinstance(name, str) and name in self._at:
            return name
        try:
            text = asked["contents"][0]["parts"][0]["text"]
        except (KeyError, IndexError, TypeError):
            return ""
        return next((found for attempt in range(1, 31) if (found := self.id(str(text), attempt)) in self._at), "")

    def close(self) -> None:
        self._file.close()


async def in_batches(
    scope: str, row: Row, requests: AsyncIterator[Request] | Iterable[Request]
) -> AsyncIterator[BatchRequests]:
    """The requests in as few batches as a job's limits allow; one held twice is held once."""
    batch = BatchRequests(scope, row)
    async for request in _each(requests):
        size = len(batch.line(request))
        if not batch.fits(size):
            yield batch
            batch = BatchRequests(scope, row)
        batch.add(request, size)
    if len(batch):
        yield batch


async def _each(requests: AsyncIterator[Request] | Iterable[Request]) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterator):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
