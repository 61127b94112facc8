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
    """The requests of one batch job; `scope` is what they have in common, so that ids differ between rubrics and oracles."""

    def __init__(self, scope: str, row: Row) -> None:
        self._scope, self._row = scope, row
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, open until close()
        self._positions: dict[str, int] = {}
        self._prefix = ""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def ids(self) -> set[str]:
        """The ids of all requests."""
        return set(self._positions)

    def id(self, part: str, attempt: int) -> str:
        """Return the id of a request.

        Args:
            part: the part of its prompt that holds the article.
            attempt: number of the attempt, from 1.

        Returns:
            Lower-case hexadecimal, which a label may hold.
        """
        return digest_json([self._scope, part, attempt])[:ID]

    def fits(self, size: int) -> bool:
        """Tell whether the job has room for another request.

        Args:
            size: its bytes.

        Returns:
            True if it has.
        """
        return len(self._positions) < MAX_REQUESTS and self.bytes + size <= MAX_BYTES

    def add(self, request: Request, size: int) -> bool:
        """Add a request.

        Args:
            request: the request.
            size: its bytes.

        Returns:
            False if it is there already.
        """
        name = self.id(request.part, request.attempt)
        if name in self._positions:
            return False
        self._prefix = request.prefix
        self._positions[name] = self._file.seek(0, 2)
        pickle.dump((request.article, request.part, request.attempt), self._file)
        self.bytes += size
        return True

    def get(self, name: str) -> Request:
        """Return a request.

        Args:
            name: its id.

        Returns:
            The request as it was added.
        """
        self._file.seek(self._positions[name])
        article, part, attempt = pickle.load(self._file)
        return Request(article, self._prefix, part, attempt)

    def line(self, request: Request) -> bytes:
        """Return a request as a line of the job's input.

        Args:
            request: the request.

        Returns:
            One line of JSON.
        """
        row = self._row(request) | {"labels": {LABEL: self.id(request.part, request.attempt)}}
        return json.dumps({"request": row}, ensure_ascii=False).encode() + b"\n"

    def write(self, names: Iterable[str], path: Path) -> None:
        """Write the job's input, JSON Lines.

        Args:
            names: ids of the requests to write.
            path: the file.
        """
        with path.open("wb") as stream:
            for name in names:
                stream.write(self.line(self.get(name)))

    def which(self, asked: object) -> str:
        """Return the id of a request that came back with its reply: that of its label, or else worked out from its text.

        Args:
            asked: the request as the service returns it.

        Returns:
            The id; empty if the request is none of this batch.
        """
        if not isinstance(asked, dict):
            return ""
        name = (asked.get("labels") or {}).get(LABEL)
        if isinstance(name, str) and name in self._positions:
            return name
        try:
            text = asked["contents"][0]["parts"][0]["text"]
        except (KeyError, IndexError, TypeError):
            return ""
        return next((name for attempt in range(1, 31) if (name := self.id(str(text), attempt)) in self._positions), "")

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


async def in_batches(
    scope: str, row: Row, requests: AsyncIterator[Request] | Iterable[Request]
) -> AsyncIterator[BatchRequests]:
    """Put requests into as few batches as a job's limits allow; a request that comes twice is put in once.

    Args:
        scope: what all requests have in common.
        row: makes a request the row that is sent.
        requests: the requests.

    Yields:
        Each batch.
    """
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
