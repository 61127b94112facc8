"""Gemini batch jobs over the wire, through the real clients of the job service and the bucket, faults included."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from distillery.components.labeling.oracles import vertex_batch
from distillery.components.labeling.oracles.base import (
    OracleError,
    OutOfCredit,
    RawReply,
    Refused,
    Request,
    Unavailable,
    Usage,
    open_oracle,
)
from distillery.components.labeling.replies import parse_reply
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import article_key, true_scores
from tests.labeling.oracles.vertex_server import VertexServer

Requesting = Callable[..., Request]
Outcomes = list[tuple[Request, RawReply | OracleError]]
POLL = (0.01, 0.02)


class Killed(Exception):
    """In the place of a kill: nothing more is handed over."""


@pytest.fixture
def flt_for(key: str, asking: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch) -> Callable[[VertexServer], Filter]:
    """The filter with the batch oracle at this server."""

    def made(server: VertexServer) -> Filter:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.origin)
        return asking(
            provider="vertex-batch",
            baseUrl=server.origin,
            apiKeyEnv="ORACLE_API_KEY",
            project="news",
            location="europe-west4",
            batchPrefix="gs://bucket/labels",
        )

    return made


def run(flt: Filter, requests: list[Request], *, stop_after: int | None = None) -> Outcomes:
    """What was handed over. stop_after: raises, as a kill would, at that many."""
    found: Outcomes = []

    async def on_reply(request: Request, outcome: RawReply | OracleError) -> None:
        if len(found) == stop_after:
            raise Killed
        found.append((request, outcome))

    async def go() -> None:
        oracle = vertex_batch.connect(flt, poll=POLL)
        try:
            await oracle.run(iter(requests), on_reply)
        finally:
            await oracle.close()

    if stop_after is None:
        asyncio.run(go())
    else:
        with pytest.raises(Killed):
            asyncio.run(go())
    return found


def right(found: Outcomes, requests: list[Request], flt: Filter) -> None:
    """Each request once, with the reply to its own article."""
    assert Counter(request.article.digest for request, _ in found) == Counter(one.article.digest for one in requests)
    for request, reply in found:
        assert isinstance(reply, RawReply), reply
        assert parse_reply(reply.text, flt.dimensions) == true_scores(request.prompt)


def test_replies_out_of_order_reach_their_own_articles(
    key: str, flt_for: Callable[..., Filter], request_for: Requesting
) -> None:
    with VertexServer(token=key) as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(9)]
        found = run(flt, requests)
    right(found, requests, flt)
    assert [request.article.id for request, _ in found] != [request.article.id for request in requests]
    billed = sum((reply.usage for _, reply in found if isinstance(reply, RawReply)), Usage())
    assert billed == Usage(server.counters.input_tokens, 0, server.counters.output_tokens)
    [job] = server.jobs.values()
    assert job["model"] == "publishers/google/models/m"
    assert job["inputConfig"]["gcsSource"]["uris"][0].startswith("gs://bucket/labels/distillery-")
    rows = [json.loads(line)["request"] for line in server.objects[job["inputConfig"]["gcsSource"]["uris"][0]].splitlines()]
    assert {row["contents"][0]["parts"][0]["text"] for row in rows} == {request.part for request in requests}
    assert rows[0]["generationConfig"]["responseSchema"]["required"] == ["reasoning", "readiness", "benefit"]
    assert key not in "".join(map(str, server.jobs.values())) + str(server.objects)


def test_open_oracle_gives_it(key: str, flt_for: Callable[..., Filter]) -> None:
    with VertexServer() as server:
        oracle = open_oracle(flt_for(server))
        assert isinstance(oracle, vertex_batch.VertexBatch)
        assert oracle.identity["provider"] == "vertex"


def test_without_labels_the_text_tells(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VertexServer() as server:
        answer = server._row
        monkeypatch.setattr(
            server,
            "_row",
            lambda row: answer({"request": {name: value for name, value in row["request"].items() if name != "labels"}}),
        )
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}", attempt=n) for n in range(1, 4)]
        right(run(flt, requests), requests, flt)


def test_rows_that_failed_for_the_moment_go_into_the_next_job(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(fault=lambda article, asked: "429" if int(article, 16) % 2 and not asked else "") as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(12)]
        right(run(flt, requests), requests, flt)
    failed = sum(int(article_key(request.prompt), 16) % 2 for request in requests)
    assert 0 < failed < 12
    assert len(server.jobs) == 2
    assert server.counters.paid == 12
    assert server.counters.calls == 12 + failed


def test_rows_that_are_refused_are_given_back(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    faults = iter(["400", "safety", "length", ""])
    with VertexServer(fault=lambda article, asked: next(faults)) as server:
        flt = flt_for(server)
        found = [outcome for _, outcome in run(flt, [request_for(flt, f"text {n}") for n in range(4)])]
    refused = sorted(str(outcome) for outcome in found if isinstance(outcome, Refused))
    assert len(refused) == 2
    assert "INVALID_ARGUMENT" in refused[0]
    assert refused[1] == "the reply is blocked: SAFETY"
    assert sorted(outcome.finish for outcome in found if isinstance(outcome, RawReply)) == ["length", "stop"]
    assert len(server.jobs) == 1


@pytest.mark.parametrize("fate", ["cancelled", "expired"])
def test_a_job_that_was_cut_off_is_taken_up(fate: str, flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(jobs=[fate]) as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(10)]
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 2
    assert server.counters.paid == 10  # the half that was done is not paid again


def test_a_killed_run_takes_up_its_jobs(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(polls=3) as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(70)]

        async def killed_while_it_waits() -> None:
            oracle = vertex_batch.connect(flt, poll=(30, 30))
            task = asyncio.create_task(oracle.run(requests, lambda *_: asyncio.sleep(0)))
            while not server.jobs:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await oracle.close()

        asyncio.run(killed_while_it_waits())
        early = run(flt, requests, stop_after=5)
        known = {request.article.digest for request, _ in early}
        rest = [request for request in requests if request.article.digest not in known]
        assert len(rest) == 65
        more = [*rest, request_for(flt, "new since then")]
        right(run(flt, more), more, flt)
    assert len(server.jobs) == 2  # the first, and one for what is new
    assert server.counters.paid == 71


def test_a_job_whose_creation_was_not_answered_is_adopted(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(jobs=["lost"]) as server:
        flt = flt_for(server)
        requests = [request_for(flt, "text")]
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 1


def test_another_attempt_is_another_request(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer() as server:
        flt = flt_for(server)
        run(flt, [request_for(flt, "text")])
        run(flt, [request_for(flt, "text")])
        assert server.counters.paid == 1
        run(flt, [request_for(flt, "text", attempt=2)])
    assert server.counters.paid == 2


def test_jobs_are_split_at_the_services_limits(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (vertex_batch.MAX_REQUESTS, vertex_batch.MAX_BYTES) == (200_000, 1_000_000_000)
    monkeypatch.setattr(vertex_batch, "MAX_REQUESTS", 4)
    with VertexServer() as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(10)]
        right(run(flt, requests), requests, flt)
        assert len(server.jobs) == 3
    monkeypatch.setattr(vertex_batch, "MAX_REQUESTS", 200_000)
    monkeypatch.setattr(vertex_batch, "MAX_BYTES", 5_000)
    with VertexServer() as server:
        flt = flt_for(server)
        right(run(flt, requests), requests, flt)
        sources = [server.objects[job["inputConfig"]["gcsSource"]["uris"][0]] for job in server.jobs.values()]
    assert len(sources) > 3
    assert max(map(len, sources)) <= 5_000


def test_requests_that_arrive_one_by_one(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer() as server:
        flt = flt_for(server)

        async def stream() -> AsyncIterator[Request]:
            for n in [1, 2, 2, 3]:
                await asyncio.sleep(0)
                yield request_for(flt, f"text {n}")

        found: Outcomes = []

        async def on_reply(request: Request, outcome: RawReply | OracleError) -> None:
            found.append((request, outcome))

        asyncio.run(vertex_batch.connect(flt, poll=POLL).run(stream(), on_reply))
    assert sorted(request.article.id for request, _ in found) == ["text 1", "text 2", "text 3"]


@pytest.mark.parametrize(
    ("fates", "kind", "words"),
    [
        (["denied"], InputError, "the service agent may not read the bucket"),
        (["failed"], None, ""),
    ],
)
def test_a_failed_job(
    fates: list[str], kind: type[Exception] | None, words: str, flt_for: Callable[..., Filter], request_for: Requesting
) -> None:
    with VertexServer(jobs=fates) as server:
        flt = flt_for(server)
        requests = [request_for(flt, "text")]
        if kind is None:
            right(run(flt, requests), requests, flt)
            assert len(server.jobs) == 2
        else:
            with pytest.raises(kind, match=words):
                run(flt, requests)


def test_no_reply_in_any_job(flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(fault=lambda article, asked: "503") as server:
        [(_, outcome)] = run(flt := flt_for(server), [request_for(flt, "text")])
    assert isinstance(outcome, Unavailable)
    assert len(server.jobs) == vertex_batch.ROUNDS


def test_the_token_is_refused(key: str, flt_for: Callable[..., Filter], request_for: Requesting) -> None:
    with VertexServer(token="another") as server, pytest.raises(InputError, match="ORACLE_API_KEY") as caught:
        run(flt := flt_for(server), [request_for(flt, "text")])
    assert key not in str(caught.value)


def test_a_job_that_is_refused(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.labeling.oracles import vertex_server

    with VertexServer() as server:
        serve, refuse = server._job, vertex_server.error(400, "INVALID_ARGUMENT", "no batch for this model")
        monkeypatch.setattr(server, "_job", lambda asked, *rest: refuse if asked.method == "POST" else serve(asked, *rest))
        with pytest.raises(InputError, match=r"no batch for this model; check oracle\.model"):
            run(flt := flt_for(server), [request_for(flt, "text")])


def test_an_account_without_billing(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.labeling.oracles import vertex_server

    with VertexServer() as server:
        refuse = vertex_server.error(*vertex_server.VERTEX_ERRORS["403-billing"])
        monkeypatch.setattr(server, "_job", lambda *_: refuse)
        with pytest.raises(OutOfCredit, match="requires billing"):
            run(flt := flt_for(server), [request_for(flt, "text")])


def test_a_bucket_that_breaks_off_while_it_is_read(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = vertex_batch.lines
    broken = iter([True])

    def breaking(bucket: object, name: str) -> Iterator[bytes]:
        some = read(bucket, name)  # type: ignore[arg-type]
        if "/out/" in name and next(broken, False):
            yield next(some)
            raise ConnectionResetError
        yield from some

    monkeypatch.setattr(vertex_batch, "lines", breaking)
    monkeypatch.setattr(vertex_batch, "AT_ONCE", 1)
    with VertexServer() as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(6)]
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 1


def test_files_that_go_in_several_pieces(
    flt_for: Callable[..., Filter], request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.cloud.storage.blob._MAX_MULTIPART_SIZE", 1000)
    monkeypatch.setattr("distillery.components.labeling.oracles.bucket.CHUNK", 256 * 1024)
    with VertexServer() as server:
        flt = flt_for(server)
        requests = [request_for(flt, f"text {n}") for n in range(300)]
        right(run(flt, requests), requests, flt)
        assert len([one for one in server.requests if one.method == "PUT"]) >= 3
