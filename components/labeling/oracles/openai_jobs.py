"""The service behind OpenAI's batch jobs: their list, files and creation, through the openai client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from time import time
from typing import Any, Final, TypeVar

from distillery.components.articles.scratch import scratch_folder
from distillery.components.labeling.oracles.base import RateLimited, Refused, Unavailable
from distillery.components.labeling.oracles.batch_requests import AT_ONCE
from distillery.components.labeling.oracles.openai import OpenAIEndpoint
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads

T = TypeVar("T")

CALLS: Final = "/v1/chat/completions"
TRIES: Final = 6  # of one call
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
KEPT_SECONDS: Final = 31 * 86_400.0  # the service deletes a job's files after a month


class Job:
    """One job of the service, as it describes it."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        given = {name: value for name, value in described.items() if value is not None}
        metadata, counts, errors = (as_object(given.get(name)) for name in ("metadata", "request_counts", "errors"))
        self.id, self.state = str(given.get("id", "")), str(given.get("status", ""))
        self.scope, self.requests = str(metadata.get("distillery", "")), str(metadata.get("requests", ""))
        self.input = str(given.get("input_file_id", ""))
        self.replies = [str(given[name]) for name in ("output_file_id", "error_file_id") if given.get(name)]
        made = given.get("created_at")
        self.created = float(made) if isinstance(made, int | float) else time()
        self.done, self.total = (_number(counts.get(name)) for name in ("completed", "total"))
        faults = errors.get("data")
        first = as_object(faults[0] if isinstance(faults, list) and faults else None)
        self.code, self.message = str(first.get("code") or ""), str(first.get("message") or "it does not say why")

    @property
    def ended(self) -> bool:
        """True if the job will not change any more."""
        return self.state in ENDED

    @property
    def queue_is_full(self) -> bool:
        """True if the job failed because too many tokens wait in the account's queue."""
        words = f"{self.code} {self.message}".lower()
        return self.state == "failed" and ("token_limit" in words or "enqueued" in words)


def as_object(value: object) -> dict[str, Any]:
    """Return a value from outside where it is a JSON object, else an empty one.

    Args:
        value: the value.

    Returns:
        The object.
    """
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


Jobs = tuple[Job, ...]


class JobService:
    """The jobs of one endpoint with one scope, which is what their requests have in common; each call is tried again.

    `poll` is the shortest and the longest pause between two tries.
    """

    def __init__(self, asked: OpenAIEndpoint, scope: str, poll: tuple[float, float]) -> None:
        self._endpoint, self._scope, self._poll = asked, scope, poll

    async def list(self) -> Jobs:
        """Return the jobs of this scope whose files are still there.

        Returns:
            The jobs, newest first, as the service lists them.
        """
        found: dict[str, Job] = {}
        after: dict[str, str] = {}
        while True:
            page = await self._call(partial(self._json, "/batches", query={"limit": "100", **after}))
            listed = page.get("data")
            jobs = [Job(one) for one in listed if isinstance(one, dict)] if isinstance(listed, Sequence) else []
            found |= {job.id: job for job in jobs if job.scope == self._scope}
            last = jobs[-1] if jobs else None
            if last is None or not page.get("has_more") or after == {"after": last.id} or last.created < time() - KEPT_SECONDS:
                return tuple(found.values())
            after = {"after": last.id}

    async def create(self, file: str, digest: str) -> Job:
        """Create a job, without another try: an unanswered call may have made it.

        Args:
            file: the uploaded file.
            digest: that of the requests' ids.

        Returns:
            The job.

        Raises:
            OracleError: it can't be told whether there is one.
            InputError: the service refuses it.
        """
        body = {
            "input_file_id": file,
            "endpoint": CALLS,
            "completion_window": "24h",
            "metadata": {"distillery": self._scope, "requests": digest},
        }
        return Job(await self._call(partial(self._json, "/batches", body=body), tries=1))

    async def look(self, job: Job) -> Job:
        """Return a job as it is now.

        Args:
            job: the job as it was.

        Returns:
            The job.
        """
        return Job(await self._call(partial(self._json, f"/batches/{job.id}")))

    async def upload(self, path: Path) -> str:
        """Upload the requests of a job.

        Args:
            path: JSON Lines.

        Returns:
            The service's name of the file.
        """
        return await self._call(partial(self._upload, path))

    async def rows(self, file: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of one of the service's files; none where it was deleted.

        Args:
            file: the service's name of the file.

        Yields:
            Each row.
        """
        with scratch_folder("distillery-batch-") as folder:
            path = folder / "rows.jsonl"
            await self._call(partial(self._download, file, path))
            rows = _parsed(path)
            while some := await asyncio.to_thread(lambda: list(islice(rows, AT_ONCE))):
                for row in some:
                    yield row

    async def _upload(self, path: Path) -> str:
        with path.open("rb") as stream:  # streamed: the client reads a path whole
            name = f"distillery-{self._scope}.jsonl"
            made = await self._endpoint.client.files.create(file=(name, stream, "application/jsonl"), purpose="batch")
        return made.id

    async def _download(self, file: str, path: Path) -> None:
        import openai

        try:
            async with self._endpoint.client.files.with_streaming_response.content(file) as response:
                await response.stream_to_file(path)
        except openai.NotFoundError:
            path.write_bytes(b"")

    async def _json(
        self, place: str, *, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Ask the service, with POST where there is a body."""
        import httpx2

        client = self._endpoint.client
        if body is None:
            response = await client.get(place, cast_to=httpx2.Response, options={"params": query or {}})
        else:
            response = await client.post(place, cast_to=httpx2.Response, body=body)
        try:
            return as_object(loads(response.text))
        except (ValueError, RecursionError):
            raise Unavailable(f"the answer of {self._endpoint.name} is not JSON") from None

    async def _call(self, work: Callable[[], Awaitable[T]], *, tries: int = TRIES) -> T:
        """Do work, again after a pause where that may help; errors are those of the contract, but no article is at fault."""
        pause = self._poll[0]
        for left in reversed(range(tries)):
            try:
                return await self._endpoint.translated(work)
            except (Unavailable, RateLimited) as error:
                if not left:
                    raise
                await asyncio.sleep(max(pause, error.retry_after or 0.0))
                pause = min(pause * 2, self._poll[1])
            except Refused as error:
                hint = "check oracle.model and oracle.baseUrl; not every endpoint has batch jobs, so provider openai may be it"
                raise InputError(str(error), where="spec.oracle", hint=hint) from None
        raise AssertionError("unreachable")


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as stream:
        for line in stream:
            try:
                row = loads(line)
            except (ValueError, RecursionError):
                continue  # a torn last line
            if isinstance(row, dict):
                yield row
