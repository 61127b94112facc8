"""The requests of one batch job, on disk while the job runs, found again by their id.

A job holds up to 200,000 prompts and takes hours. In memory there is an id and a position for each, some 150 bytes.
"""

from __future__ import annotations

import asyncio
import pickle
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from distillery.components.labeling.oracles.base import Request
from distillery.components.store import digest_json

AT_ONCE: Final = 64  # replies handed over together, so that they share one write of the journal
ID: Final = 40

Line = Callable[[str, Request], bytes]


class BatchRequests:
    """The requests of one batch job; `scope` is what they have in common, so that ids differ between rubrics and oracles.

    `line` makes a request with its id a line of the job's input; `most` is how many requests and bytes a job takes.
    """

    def __init__(self, scope: str, line: Line, most: tuple[int, int]) -> None:
        self._scope, self._line, self._most = scope, line, most
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, open until close()
        self._positions: dict[str, int] = {}
        self._prefix = ""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, name: str) -> bool:
        """Return whether a request has this id."""
        return name in self._positions

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
        return len(self._positions) < self._most[0] and self.bytes + size <= self._most[1]

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
        return self._line(self.id(request.part, request.attempt), request)

    def write(self, names: Iterable[str], path: Path, line: Line | None = None) -> None:
        """Write the job's input, JSON Lines.

        Args:
            names: ids of the requests to write.
            path: the file.
            line: another form of the lines; None for the batch's own.
        """
        with path.open("wb") as stream:
            for name in names:
                stream.write((line or self._line)(name, self.get(name)))

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


async def in_batches(
    scope: str, line: Line, requests: AsyncIterator[Request] | Iterable[Request], *, most: tuple[int, int]
) -> AsyncIterator[BatchRequests]:
    """Put requests into as few batches as a job's limits allow; a request that comes twice is put in once.

    Args:
        scope: what all requests have in common.
        line: makes a request with its id a line of the job's input.
        requests: the requests.
        most: requests and bytes that a job takes.

    Yields:
        Each batch.
    """
    batch = BatchRequests(scope, line, most)
    async for request in _each(requests):
        size = len(batch.line(request))
        if not batch.fits(size):
            yield batch
            batch = BatchRequests(scope, line, most)
        batch.add(request, size)
    if len(batch):
        yield batch


async def all_of(handed: Iterable[Awaitable[None]]) -> None:
    """Await what hands replies over, as many together as share one write of the journal.

    Args:
        handed: the work.
    """
    some = iter(handed)
    while group := list(islice(some, AT_ONCE)):
        await asyncio.gather(*group)


async def _each(requests: AsyncIterator[Request] | Iterable[Request]) -> AsyncIterator[Request]:
    if isinstance(requests, AsyncIterator):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
