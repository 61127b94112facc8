"""Gemini on Vertex AI as batch jobs, at about half the price and within a day, through google-cloud-aiplatform.

A job outlives the run that started it, and that is used: its name is made from its rubric, oracle and requests, and the ids of
its requests lie beside its input. A run that follows a killed one finds the jobs of its rubric by name, waits for those that go
on, takes from all of them, finished, cancelled or expired, the replies that it still needs, and submits only the rest. The
service has no conditional creation, so two runs at the same moment are kept apart before they come here (`run_lock`).

Replies come in any order, so each is matched by the id in its request's labels. A row that failed for the moment goes
into the next job; one that is refused is returned as refused.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from distillery.components.articles.scratch import scratch_folder
from distillery.components.labeling.oracles.base import (
    Note,
    OnReply,
    OracleError,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
    silent,
)
from distillery.components.labeling.oracles.batch_requests import AT_ONCE, BatchRequests, all_of, in_batches
from distillery.components.labeling.oracles.bucket import Bucket, lines, open_bucket
from distillery.components.labeling.oracles.connections import REACH_SECONDS
from distillery.components.labeling.oracles.gemini import (
    Account,
    account,
    address,
    contents,
    failed_credentials,
    generation_config,
    mapped,
    read_response,
    system_instruction,
)
from distillery.components.store import digest_json
from distillery.filters.digests import oracle_part, rubric_digest
from distillery.filters.errors import InputError, install_line
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.services.job_service import JobServiceClient

T = TypeVar("T")

ROUNDS: Final = 5  # jobs after one another for requests that get no reply
TRIES: Final = 6  # of one call to the job service or the bucket
SUBMISSIONS: Final = 50  # of one job: over an hour, while others fill the project's quota of jobs
MAX_REQUESTS: Final = 200_000  # of one job
MAX_BYTES: Final = 1_000_000_000
LABEL: Final = "distillery"  # of a request: the service gives a reply its request back, labels included
CALL_SECONDS: Final = 60.0
POLL: Final = (5.0, 120.0)  # seconds until a job is looked at first, and at most between two looks
ENDED: Final = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
CODES: Final = {3: 400, 5: 404, 7: 403, 8: 429, 9: 400, 16: 401}  # google.rpc.Code of a job's error as HTTP has it
MOMENTARY: Final = re.compile(r"\b(429|499|5\d\d)\b|RESOURCE_EXHAUSTED|UNAVAILABLE|INTERNAL|DEADLINE|ABORTED|CANCELLED")


class Job:
    """One job of the service: resource name, display name, and its state."""

    def __init__(self, message: Any) -> None:
        self.name, self.label = str(message.name), str(message.display_name)
        self.state = str(message.state.name).removeprefix("JOB_STATE_")
        self.code, self.message = int(message.error.code), str(message.error.message)

    @property
    def ended(self) -> bool:
        """True if the job will not change any more."""
        return self.state in ENDED


class VertexBatch:
    """One model in one project and region.

    `poll` is seconds until a job is looked at first, and at most between two looks.
    """

    def __init__(
        self, flt: Filter, client: JobServiceClient, bucket: Bucket, who: Account, *, poll: tuple[float, float] = POLL
    ) -> None:
        self.identity = identity(flt)
        self._client, self._bucket, self._who, self._poll = client, bucket, who, poll
        self._address = address(flt, who)
        model = flt.spec.oracle.model
        self._model = model if "/" in model else f"publishers/google/models/{model}"
        self._config = generation_config(flt)
        self._parent = f"projects/{who.project}/locations/{who.location}"
        self._note: Note = silent
        self._scope = digest_json({"rubric": rubric_digest(flt), "oracle": self.identity})[:16]

    async def run(self, requests: AsyncIterator[Request] | Iterable[Request], on_reply: OnReply, note: Note = silent) -> None:
        """Give every request to `on_reply`, once, with its reply or the reason why there is none.

        It reads `requests` to the end before it waits, so whoever feeds it must not wait for a reply first: another try is
        another run. If it is cancelled, the jobs are left to the next run.

        Args:
            requests: the questions.
            on_reply: takes a request with its reply or the reason why there is none, and makes it durable.
            note: takes a line for people.

        Raises:
            InputError: no job can be run: credentials, model or bucket.
            OutOfCredit: no job can be run: the account is empty.
        """
        self._note = note
        known = await self._list(f"distillery-{self._scope}-", wildcard=True)
        tasks: list[asyncio.Task[None]] = []
        try:
            async for batch in in_batches(self._scope, self._line, requests, most=(MAX_REQUESTS, MAX_BYTES)):
                tasks.append(asyncio.create_task(self._settle(batch, known, on_reply)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def reach(self) -> None:
        """Connect and ask nothing.

        Raises:
            Unavailable: no connection can be had.
        """
        if why := await asyncio.to_thread(_unreachable, self._address):
            raise Unavailable(f"Vertex AI at {self._address} can't be reached: {why}")

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._client.transport.close)

    def _line(self, name: str, request: Request) -> bytes:
        row = {
            "contents": contents(request),
            "systemInstruction": system_instruction(request),
            "generationConfig": self._config,
            "labels": {LABEL: name},
        }
        return json.dumps({"request": row}, ensure_ascii=False).encode() + b"\n"

    async def _settle(self, batch: BatchRequests, known: list[Job], on_reply: OnReply) -> None:
        open_ids = batch.ids
        try:
            for job in known:
                if open_ids & await asyncio.to_thread(self._ids, job.label):
                    await self._collect(await self._ended(job), batch, open_ids, on_reply)
            for _ in range(ROUNDS):
                if not open_ids:
                    return
                job = await self._ended(await self._submit(batch, open_ids))
                before = len(open_ids)
                await self._collect(job, batch, open_ids, on_reply)
                if job.state == "FAILED" and len(open_ids) == before:
                    self._failed(job)
            reason = Unavailable(f"no reply in {ROUNDS} batch jobs")
            await all_of(on_reply(batch.get(name), reason) for name in sorted(open_ids))
        finally:
            batch.close()

    def _failed(self, job: Job) -> None:
        """Raise where another job would fail as well."""
        error = self._mapped(CODES.get(job.code, 500), f"the batch job failed: {job.message}", "")
        if not isinstance(error, Unavailable | RateLimited):
            raise error

    async def _submit(self, batch: BatchRequests, open_ids: set[str]) -> Job:
        """Return the job of these requests: the one that has them already, else a new one."""
        names = sorted(open_ids)
        stem = f"distillery-{self._scope}-{digest_json(names)[:24]}"
        jobs = {job.label: job for job in await self._list(stem, wildcard=True)}
        label = next(label for number in range(1, 10_000) if (label := f"{stem}-{number}") not in jobs or not jobs[label].ended)
        if label in jobs:
            return jobs[label]
        with scratch_folder("distillery-batch-") as folder:
            rows, ids = folder / "requests.jsonl", folder / "ids.txt"
            await asyncio.to_thread(batch.write, names, rows)
            ids.write_text("\n".join(names), encoding="ascii")
            await self._call(lambda: self._bucket.upload(f"{label}/requests.jsonl", rows))
            await self._call(lambda: self._bucket.upload(f"{label}/ids.txt", ids))
        pause, longest = self._poll
        for left in reversed(range(SUBMISSIONS)):
            try:
                return await self._call(lambda: self._create(label), tries=1)
            except (Unavailable, RateLimited):
                if not left:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            if made := await self._list(label, wildcard=False):
                return made[0]  # it was made all the same
        raise AssertionError("unreachable")

    def _create(self, label: str) -> Job:
        place = f"{self._bucket.uri}/{label}"
        job = {
            "display_name": label,
            "model": self._model,
            "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": [f"{place}/requests.jsonl"]}},
            "output_config": {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": f"{place}/out"}},
        }
        request = {"parent": self._parent, "batch_prediction_job": job}
        return Job(self._client.create_batch_prediction_job(request, retry=None, timeout=CALL_SECONDS))

    async def _list(self, label: str, *, wildcard: bool) -> list[Job]:
        """Return the jobs whose display name is, or begins with, the label; newest first, as the service lists them."""
        request = {"parent": self._parent, "filter": f'display_name:"{label}*"' if wildcard else f'display_name="{label}"'}
        return await self._call(
            lambda: [Job(job) for job in self._client.list_batch_prediction_jobs(request, retry=None, timeout=CALL_SECONDS)]
        )

    async def _ended(self, job: Job) -> Job:
        """Wait for the job's end, looking ever less often."""
        (pause, longest), seen = self._poll, ""
        while not job.ended:
            if job.state != seen:
                self._note(f"batch job {job.label}: {job.state.lower()}")
            seen = job.state
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)
            job = await self._call(partial(self._look, job.name))
        return job

    def _look(self, name: str) -> Job:
        return Job(self._client.get_batch_prediction_job(name=name, retry=None, timeout=CALL_SECONDS))

    def _ids(self, label: str) -> set[str]:
        try:
            return {line.decode("ascii").strip() for line in lines(self._bucket, f"{label}/ids.txt")}
        except KeyError:
            return set()  # its files were deleted, and its replies with them

    async def _collect(self, job: Job, batch: BatchRequests, open_ids: set[str], on_reply: OnReply) -> None:
        """Hand over what the job has for open requests; an unusable row leaves its request open."""
        for left in reversed(range(TRIES)):
            try:
                await self._hand_over(self._rows(job.label), batch, open_ids, on_reply)
                return
            except Unavailable:  # while reading; what was handed over is open no longer
                if not left:
                    raise
            await asyncio.sleep(self._poll[0])

    async def _hand_over(
        self, rows: Iterator[dict[str, Any]], batch: BatchRequests, open_ids: set[str], on_reply: OnReply
    ) -> None:
        while some := await self._call(lambda: list(islice(rows, AT_ONCE)), tries=1):
            ready = []
            for row in some:
                name = _which(batch, row.get("request"))
                if name in open_ids and (outcome := self._outcome(row)) is not None:
                    open_ids.discard(name)
                    ready.append(on_reply(batch.get(name), outcome))
            await all_of(ready)

    def _rows(self, label: str) -> Iterator[dict[str, Any]]:
        for name in self._bucket.names(f"{label}/out"):
            if not name.endswith(".jsonl"):
                continue
            for line in lines(self._bucket, name):
                try:
                    row = loads(line)
                except (ValueError, RecursionError):
                    continue  # a torn last line of a job that was cut off
                if isinstance(row, dict):
                    yield row

    def _outcome(self, row: dict[str, Any]) -> RawReply | OracleError | None:
        """Return what a row says of its request; None where it failed for the moment, or says nothing."""
        response, status = row.get("response"), row.get("status") or row.get("error")
        if response:
            try:
                return read_response(response, self._who.key)
            except Unavailable as error:  # answered, so perhaps billed: another job would do it again unseen
                return Refused(str(error), unknown=True)
            except OracleError as error:
                return error
        if not status or MOMENTARY.search(text := str(status)):
            return None
        return Refused(self._who.key.message(text))

    async def _call(self, work: Callable[[], T], *, tries: int = TRIES) -> T:
        """Do work in a thread, again after a pause where that may help; errors are those of the contract."""
        pause = self._poll[0]
        for left in reversed(range(tries)):
            try:
                return await asyncio.to_thread(self._translated, work)
            except (Unavailable, RateLimited) as error:
                if not left:
                    raise
                await asyncio.sleep(max(pause, getattr(error, "retry_after", None) or 0.0))
                pause = min(pause * 2, self._poll[1])
        raise AssertionError("unreachable")

    def _translated(self, work: Callable[[], T]) -> T:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError

        try:
            return work()
        except GoogleAPICallError as error:
            raise self._mapped(int(error.code or 500), error.message, str(error.details)) from None
        except GoogleAuthError as error:
            raise failed_credentials(error, self._who.key) from None
        except OSError as error:  # of requests, too
            raise Unavailable(f"the service gave no answer: {type(error).__name__}", unknown=True) from None

    def _mapped(self, code: int, message: object, details: str) -> Exception:
        """Translate an error as for a call; but what is refused is the job, not an article."""
        error = mapped(code if code >= 400 else 500, message, details, {}, self._who.key)
        if isinstance(error, Refused):
            return InputError(str(error), where="spec.oracle", hint="check oracle.model, oracle.location and the bucket")
        return error


def _unreachable(address: str) -> str:
    """Return why nothing can be sent to an address by the client's own HTTP library, with its proxies and certificates."""
    import requests  # type: ignore[import-untyped]
    from urllib3.exceptions import MaxRetryError

    try:
        requests.get(address, timeout=REACH_SECONDS, allow_redirects=False).close()
    except requests.ConnectionError as error:  # without a MaxRetryError in it, a connection was had
        why = error.args[0] if error.args else None
        return f"{type(error).__name__}: {why.reason}" if isinstance(why, MaxRetryError) else ""
    except requests.RequestException:
        return ""
    return ""


def _which(batch: BatchRequests, asked: object) -> str:
    """Return the id of a request that came back with its reply, from its label or its text; empty for none of this batch."""
    if not isinstance(asked, dict):
        return ""
    name = (asked.get("labels") or {}).get(LABEL)
    if isinstance(name, str) and name in batch:
        return name
    try:
        text = asked["contents"][0]["parts"][0]["text"]
    except (KeyError, IndexError, TypeError):
        return ""
    return next((name for attempt in range(1, 31) if (name := batch.id(str(text), attempt)) in batch), "")


def identity(flt: Filter) -> dict[str, Any]:
    """Return what an answer depends on besides the prompt, the same as online: labels are bought once, by either route.

    Args:
        flt: the filter.

    Returns:
        Provider, model and parameters.
    """
    return oracle_part(flt)


def connect(flt: Filter, *, poll: tuple[float, float] | None = None) -> VertexBatch:
    """Connect to Gemini in oracle.project and oracle.location, with files below oracle.batchPrefix.

    Args:
        flt: the filter.
        poll: seconds until a job is looked at first, and at most between two looks; None for the usual.

    Returns:
        The oracle.

    Raises:
        InputError: credentials, project, bucket or the client library are missing.
    """
    try:
        from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.rest import JobServiceRestTransport
    except ImportError:
        raise InputError(
            "the google-cloud-aiplatform client is not installed",
            where="spec.oracle.provider",
            hint=install_line("oracle"),
        ) from None
    oracle, who = flt.spec.oracle, account(flt)
    scheme, _, host = address(flt, who).partition("://")
    transport = JobServiceRestTransport(host=host.rstrip("/"), credentials=who.credentials, url_scheme=scheme)
    return VertexBatch(flt, JobServiceClient(transport=transport), open_bucket(oracle.batchPrefix, who), who, poll=poll or POLL)
