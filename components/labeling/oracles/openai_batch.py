"""OpenAI's batch jobs, at half the price and within a day, through the openai client.

A job outlives the run that started it, and that is used: it is created with the digest of its rubric and oracle and that of
its requests in its metadata, so it is on record from the moment it exists. A run that follows a killed one finds the jobs of
its rubric in the service's list, waits for those that go on, takes from all of them, completed, cancelled or expired, the
replies that it still needs, and submits only the rest. The service has no conditional creation, so two runs at the same moment
are kept apart before they come here (`run_lock`).

Replies come in any order and in two files, so each is matched by its `custom_id`. A row that failed for the moment goes into
the next job; one that is refused is returned as refused. How many tokens may wait in the service's queue depends on the
account: where a job is too large for it, smaller ones are made, one after another.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from distillery.components.articles.scratch import scratch_folder
from distillery.components.labeling.oracles.base import (
    Note,
    OnReply,
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
    silent,
)
from distillery.components.labeling.oracles.batch_requests import AT_ONCE, BatchRequests, all_of, in_batches
from distillery.components.labeling.oracles.openai import CREDIT, OpenAIEndpoint, Unaccepted, endpoint
from distillery.components.labeling.oracles.openai_jobs import CALLS, Job, Jobs, JobService, as_object
from distillery.components.store import digest_json
from distillery.filters.digests import oracle_part, rubric_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

MAX_REQUESTS: Final = 50_000  # of one job
MAX_BYTES: Final = 200_000_000
ROUNDS: Final = 5  # jobs that a request goes into before it is given up
SUBMISSIONS: Final = 50  # of one job: over an hour, while others fill the account's queue
POLL: Final = (5.0, 120.0)  # seconds until a job is looked at first, and at most between two looks
FEW: Final = 100  # requests that fit an account's queue unless others fill it, where it does not say how much it takes
LIMIT: Final = re.compile(r"limit:?\s*([\d,]{1,20})", re.IGNORECASE)
MOMENTARY: Final = ("server_error", "internal", "unavailable", "timeout", "rate_limit")


class OpenAIBatch:
    """One model at one endpoint; `poll` is seconds until a job is looked at first, and at most between two looks."""

    def __init__(self, flt: Filter, asked: OpenAIEndpoint, *, poll: tuple[float, float] = POLL) -> None:
        self.identity = identity(flt)
        self._endpoint, self._poll = asked, poll
        self._scope = digest_json({"rubric": rubric_digest(flt), "oracle": self.identity})[:16]
        self._way = 0  # which variant of the requests is sent; the first jobs find out which one is accepted
        self._answered = False
        self._most = MAX_REQUESTS  # requests of one job, fewer where the account's queue takes fewer
        self._held: dict[str, frozenset[str]] = {}  # ids of the requests in an earlier job
        self._jobs = JobService(asked, self._scope, poll)
        self._note: Note = silent

    async def run(self, requests: AsyncIterator[Request] | Iterable[Request], on_reply: OnReply, note: Note = silent) -> None:
        """Give every request to `on_reply`, once, with its reply or the reason why there is none.

        It reads `requests` to the end before it waits, so whoever feeds it must not wait for a reply first: another try is
        another run. If it is cancelled, the jobs are left to the next run.

        Args:
            requests: the questions.
            on_reply: takes a request with its reply or the reason why there is none, and makes it durable.
            note: takes a line for people.

        Raises:
            InputError: no job can be run: key, model or address.
            OutOfCredit: no job can be run: the account is empty.
        """
        self._note = note
        known = await self._jobs.list()
        tasks: list[asyncio.Task[None]] = []
        try:
            line = partial(self._line, 0)
            async for batch in in_batches(self._scope, line, requests, most=(MAX_REQUESTS, MAX_BYTES)):
                tasks.append(asyncio.create_task(self._settle(batch, known, on_reply)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def reach(self) -> None:
        """Raise Unavailable where no connection to the endpoint can be had; nothing is asked."""
        await self._endpoint.reach()

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    def _line(self, way: int, name: str, request: Request) -> bytes:
        row = {"custom_id": name, "method": "POST", "url": CALLS, "body": self._endpoint.body(request, way)}
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"

    async def _settle(self, batch: BatchRequests, known: Jobs, on_reply: OnReply) -> None:
        open_ids = batch.ids
        try:
            for job in known:
                if open_ids and open_ids & await self._ids(job):
                    await self._collect(await self._ended(job), batch, open_ids, on_reply)  # what it refused is asked again
            await self._ask(batch, open_ids, on_reply)
        finally:
            batch.close()

    async def _ask(self, batch: BatchRequests, open_ids: set[str], on_reply: OnReply) -> None:
        """Put what is open into jobs, as many as it takes."""
        jobs_left, waits, pause = dict.fromkeys(sorted(open_ids), ROUNDS), SUBMISSIONS, self._poll[0]
        while names := list(islice(jobs_left, self._most)):
            way = self._way
            job = await self._ended(await self._submit(batch, names, way))
            if job.queue_is_full:
                if not self._made_smaller(job, batch, names):
                    if not (waits := waits - 1):
                        raise RateLimited(self._endpoint.key.message(f"the batch job was not taken: {job.message}"))
                    self._note(f"others fill the account's queue, so the batch job is submitted again: {self._why(job)}")
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, self._poll[1])
                continue
            waits, pause = SUBMISSIONS, self._poll[0]
            refused, failed = await self._collect(job, batch, open_ids, on_reply)
            unanswered = [name for name in names if name in open_ids]
            if len(unanswered) == len(names) and job.state == "failed":
                self._failed(job)
            if failed and (len(unanswered) == len(names) or isinstance(failed[0], OutOfCredit)):
                raise failed[0]
            another = bool(refused) and not self._answered and way + 1 < self._endpoint.ways
            if another:  # nothing was read, let alone billed
                self._way = max(self._way, way + 1)
            for name in names:
                jobs_left[name] -= not another
                outcome: OracleError | None = None if another else refused.get(name)
                if name in open_ids and outcome is None and not jobs_left[name]:
                    outcome = Unavailable(f"no reply in {ROUNDS} batch jobs")
                if outcome is not None:
                    open_ids.discard(name)
                    await on_reply(batch.get(name), outcome)
                if name not in open_ids:
                    del jobs_left[name]

    def _made_smaller(self, job: Job, batch: BatchRequests, names: list[str]) -> bool:
        """Halve the size of jobs; False where this one would fit if others did not fill the queue."""
        stated = LIMIT.search(job.message)
        if stated and (limit := int(stated[1].replace(",", "") or 0)):
            tokens = batch.bytes / len(batch) * len(names) / 3  # of three bytes or more
            fits = tokens <= limit / 2
        else:
            fits = len(names) <= FEW
        if fits or len(names) == 1:
            return False
        self._most = max(1, min(self._most, len(names) // 2))
        self._note(f"the account's queue takes smaller batch jobs: {self._most:,} requests each ({self._why(job)})")
        return True

    def _why(self, job: Job) -> str:
        return self._endpoint.key.message(job.message)

    def _failed(self, job: Job) -> None:
        """Raise where another job would fail as well."""
        words, message = f"{job.code} {job.message}".lower(), f"the batch job {job.id} failed: {self._why(job)}"
        if any(word in words for word in CREDIT):
            raise OutOfCredit(message)
        if not any(word in words for word in MOMENTARY):
            raise InputError(message, where="spec.oracle", hint="check oracle.model and oracle.baseUrl")

    async def _submit(self, batch: BatchRequests, names: list[str], way: int) -> Job:
        """Return the job of these requests: the one that has them already, else a new one."""
        digest = digest_json([names, way])[:32]
        before = {job.id: job for job in await self._jobs.list()}
        for job in before.values():
            if job.requests == digest and not job.ended:
                return job
        with scratch_folder("distillery-batch-") as folder:
            path = folder / "requests.jsonl"
            await asyncio.to_thread(batch.write, names, path, partial(self._line, way))
            file = await self._jobs.upload(path)
        pause, longest = self._poll
        for left in reversed(range(SUBMISSIONS)):
            try:
                job = await self._jobs.create(file, digest)
            except (Unavailable, RateLimited):
                if not left:
                    raise
            else:
                self._note(f"batch job {job.id} is submitted")
                return job
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            for job in await self._jobs.list():
                if job.requests == digest and job.id not in before:
                    return job  # it was made all the same
        raise AssertionError("unreachable")

    async def _ended(self, job: Job) -> Job:
        """Wait for the job's end, looking ever less often."""
        (pause, longest), seen = self._poll, ""
        while True:
            tenth = f", {job.done:,} of {job.total:,} done" if job.total else ""
            if (stage := f"{job.state} {10 * job.done // max(job.total, 1)}") != seen and not job.ended:
                self._note(f"batch job {job.id}: {job.state.replace('_', ' ')}{tenth}")
            if job.ended:
                return job
            seen = stage
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)
            job = await self._jobs.look(job)

    async def _ids(self, job: Job) -> frozenset[str]:
        """Return which requests an earlier job holds, as far as its files are still there."""
        if job.id not in self._held:
            ids: set[str] = set()
            for file in job.replies if job.ended else [job.input]:
                async for row in self._jobs.rows(file):
                    ids.add(str(row.get("custom_id")))
            self._held[job.id] = frozenset(ids)
        return self._held[job.id]

    async def _collect(
        self, job: Job, batch: BatchRequests, open_ids: set[str], on_reply: OnReply
    ) -> tuple[dict[str, Unaccepted], list[InputError | OutOfCredit]]:
        """Hand over what the job has for open requests.

        Returns those whose form was refused, and what would end a run; both stay open.
        """
        refused: dict[str, Unaccepted] = {}
        failed: list[InputError | OutOfCredit] = []
        for file in job.replies:
            ready: list[Awaitable[None]] = []
            async for row in self._jobs.rows(file):
                name = str(row.get("custom_id"))
                if name not in open_ids or (outcome := self._outcome(row)) is None:
                    continue
                if isinstance(outcome, Unaccepted):
                    refused[name] = outcome
                elif isinstance(outcome, InputError | OutOfCredit):
                    failed.append(outcome)
                else:
                    self._answered = self._answered or isinstance(outcome, RawReply)
                    open_ids.discard(name)
                    ready.append(on_reply(batch.get(name), outcome))
                if len(ready) == AT_ONCE:
                    await all_of(ready)
                    ready = []
            await all_of(ready)
        return refused, failed

    def _outcome(self, row: Mapping[str, Any]) -> RawReply | OracleError | InputError | None:
        """Return what a row says of its request; None where it failed for the moment, expired, or says nothing."""
        response = as_object(row.get("response"))
        status, body = response.get("status_code"), response.get("body")
        if not isinstance(status, int) or isinstance(status, bool):
            return None  # {"error": {"code": "batch_expired"}}
        try:
            if status < 300:
                return self._endpoint.read(body)
            error = self._endpoint.mapped(status, body)
        except Unavailable as failure:  # answered, so perhaps billed: another job would do it again unseen
            return Refused(str(failure), unknown=True)
        except OracleError as failure:
            return failure
        if isinstance(error, RateLimited | Unavailable):
            return None
        return error if isinstance(error, OracleError | InputError) else None


def identity(flt: Filter) -> dict[str, Any]:
    """Return what an answer depends on besides the prompt, the same as online: labels are bought once, by either route.

    Args:
        flt: the filter.

    Returns:
        Provider, model and parameters.
    """
    return oracle_part(flt)


def connect(flt: Filter, *, poll: tuple[float, float] | None = None) -> OpenAIBatch:
    """Connect to `oracle.baseUrl`, else OPENAI_BASE_URL, else OpenAI's own endpoint.

    Args:
        flt: the filter.
        poll: seconds until a job is looked at first, and at most between two looks; None for the usual.

    Returns:
        The oracle.

    Raises:
        InputError: a key or the client library is missing.
    """
    return OpenAIBatch(flt, endpoint(flt, streams=True), poll=poll or POLL)
