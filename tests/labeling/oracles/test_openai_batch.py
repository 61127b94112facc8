"""OpenAI's batch jobs over the wire, through the real client, faults included: replies, halves of jobs, kills, full queues."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest

from distillery.components.labeling.oracles import openai_batch
from distillery.components.labeling.oracles.base import (
    BatchOracle,
    OracleError,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Usage,
    open_oracle,
    oracle_identity,
)
from distillery.components.labeling.replies import parse_reply
from distillery.filters.filter import Filter
from tests.labeling.oracles.openai_batch_server import OpenAIBatchServer
from tests.labeling.oracles.servers import MODEL_VERSION, article_key, true_scores

Requesting = Callable[..., Request]
At = Callable[..., Filter]
Outcomes = list[tuple[Request, RawReply | OracleError]]
POLL = (0.01, 0.02)


class Killed(Exception):
    """In the place of a kill: nothing more is handed over."""


def run(flt: Filter, requests: list[Request], *, stop_after: int | None = None, notes: list[str] | None = None) -> Outcomes:
    """What was handed over. stop_after: raises, as a kill would, at that many."""
    found: Outcomes = []

    async def on_reply(request: Request, outcome: RawReply | OracleError) -> None:
        if len(found) == stop_after:
            raise Killed
        found.append((request, outcome))

    async def go() -> None:
        oracle = openai_batch.connect(flt, poll=POLL)
        try:
            await oracle.run(iter(requests), on_reply, ([] if notes is None else notes).append)
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


def texts(request_for: Requesting, flt: Filter, n: int) -> list[Request]:
    return [request_for(flt, f"text {number}") for number in range(n)]


def test_replies_out_of_order_reach_their_own_articles(key: str, at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(key=key) as server:
        flt, notes = at(server), list[str]()
        requests = texts(request_for, flt, 9)
        found = run(flt, requests, notes=notes)
    right(found, requests, flt)
    assert [request.article.id for request, _ in found] != [request.article.id for request in requests]
    billed = sum((reply.usage for _, reply in found if isinstance(reply, RawReply) and reply.usage), Usage())
    assert (billed.input_tokens, billed.output_tokens) == (server.counters.input_tokens, server.counters.output_tokens)
    assert {reply.version for _, reply in found if isinstance(reply, RawReply)} == {MODEL_VERSION}
    [job] = server.jobs.values()
    rows = [json.loads(line) for line in server.files[job["input_file_id"]].splitlines()]
    assert {row["url"] for row in rows} == {"/v1/chat/completions"}
    assert rows[0]["body"]["model"] == "m"
    assert rows[0]["body"]["response_format"]["type"] == "json_schema"
    assert len({row["custom_id"] for row in rows}) == 9
    assert notes[0] == "batch job batch_0 is submitted"
    assert key.encode() not in b"".join(server.files.values()) + json.dumps(server.jobs).encode()


def test_open_oracle_gives_it_and_its_answers_are_those_of_the_online_route(at: At, asking: Callable[..., Filter]) -> None:
    with OpenAIBatchServer() as server:
        flt = at(server)
    assert isinstance(open_oracle(flt), BatchOracle)
    assert oracle_identity(flt) == oracle_identity(asking(provider="openai", maxOutputTokens=200))


def test_rows_that_failed_for_the_moment_go_into_the_next_job(at: At, request_for: Requesting) -> None:
    def fault(article: str, asked: int) -> str:
        return "" if asked else {0: "429", 1: "500", 2: "503"}.get(int(article, 16) % 5, "")

    with OpenAIBatchServer(fault=fault) as server:
        flt = at(server)
        requests = texts(request_for, flt, 12)
        right(run(flt, requests), requests, flt)
    failed = sum(int(article_key(request.prompt), 16) % 5 < 3 for request in requests)
    assert 0 < failed < 12
    assert len(server.jobs) == 2
    assert (server.counters.paid, server.counters.calls) == (12, 12 + failed)


def test_rows_that_are_refused_are_given_back(at: At, request_for: Requesting) -> None:
    faults = iter(["400-filter", "400-long", "length", "empty", "refusal", "garbage", ""])
    with OpenAIBatchServer(fault=lambda article, asked: next(faults)) as server:
        flt = at(server)
        found = [outcome for _, outcome in run(flt, texts(request_for, flt, 7))]
    refused = {str(outcome): outcome.unknown for outcome in found if isinstance(outcome, Refused)}
    assert sorted(refused)[:2] == ["400 The prompt was filtered", "400 maximum context length is 8192"]
    assert refused["400 The prompt was filtered"], "a filter has read the prompt, so it may be billed"
    assert sum("holds no reply" in words for words in refused) == 1
    assert sum("is not JSON" in words for words in refused) == 1
    assert sorted(outcome.finish for outcome in found if isinstance(outcome, RawReply)) == ["blocked", "length", "stop"]
    assert len(server.jobs) == 1


@pytest.mark.parametrize("fate", ["cancelled", "expired"])
def test_a_job_that_was_cut_off_is_taken_up_and_the_rest_is_asked_again(fate: str, at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(jobs=[fate]) as server:
        flt = at(server)
        requests = texts(request_for, flt, 10)
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 2
    assert server.counters.paid == 10  # the half that was done is not paid again


def test_a_killed_run_finds_its_jobs_again(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(polls=3) as server:
        flt = at(server)
        requests = texts(request_for, flt, 70)

        async def killed_while_it_waits() -> None:
            oracle = openai_batch.connect(flt, poll=(30, 30))
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
        more = [*rest, request_for(flt, "new since then")]
        right(run(flt, more), more, flt)
    assert len(server.jobs) == 2  # the first, and one for what is new
    assert server.counters.paid == 71


def test_jobs_of_others_are_left_alone_and_its_own_are_found_behind_them(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(page=3) as server:
        flt, other = at(server), at(server, temperature=0.5)
        requests = texts(request_for, flt, 3)
        run(flt, requests)
        for n in range(7):
            run(other, [request_for(other, f"other {n}")])
        for job in list(server.jobs.values())[1:4]:
            job["metadata"] = None  # of another program
        right(run(flt, requests), requests, flt)
    assert (len(server.jobs), server.counters.paid) == (8, 10)


def test_a_job_whose_files_were_deleted_is_paid_again_and_an_old_one_not_looked_for(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer() as server:
        flt = at(server)
        requests = texts(request_for, flt, 3)
        run(flt, requests)
        server.files.clear()
        right(run(flt, requests), requests, flt)
        assert (len(server.jobs), server.counters.paid) == (2, 6)
        for job in server.jobs.values():
            job["created_at"] = 1
        server.page, server.downloads = 1, []
        run(flt, texts(request_for, flt, 4)[3:])
        assert len(server.downloads) == 2  # that of the newest job, which is on the page that is read in any case, and its own


def test_a_job_whose_creation_was_not_answered_is_adopted(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer(jobs=["lost"]) as server:
        flt = at(server)
        requests = texts(request_for, flt, 2)
        right(run(flt, requests), requests, flt)
    assert len(server.jobs) == 1


def test_another_attempt_is_another_request(at: At, request_for: Requesting) -> None:
    with OpenAIBatchServer() as server:
        flt = at(server)
        run(flt, [request_for(flt, "text")])
        run(flt, [request_for(flt, "text")])
        assert server.counters.paid == 1
        run(flt, [request_for(flt, "text", attempt=2)])
    assert server.counters.paid == 2


def test_jobs_are_split_at_the_services_limits(at: At, request_for: Requesting, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (openai_batch.MAX_REQUESTS, openai_batch.MAX_BYTES) == (50_000, 200_000_000)
    monkeypatch.setattr(openai_batch, "MAX_REQUESTS", 4)
    with OpenAIBatchServer() as server:
        flt = at(server)
        requests = texts(request_for, flt, 10)
        right(run(flt, requests), requests, flt)
        assert len(server.jobs) == 3
    monkeypatch.setattr(openai_batch, "MAX_REQUESTS", 50_000)
    monkeypatch.setattr(openai_batch, "MAX_BYTES", 5_000)
    with OpenAIBatchServer() as server:
        flt = at(server)
        right(run(flt, requests), requests, flt)
        sources = [server.files[job["input_file_id"]] for job in server.jobs.values()]
    assert len(sources) > 2
    assert max(map(len, sources)) <= 5_000


@pytest.mark.parametrize("says", [True, False])
def test_a_queue_that_takes_fewer_gets_smaller_jobs(
    says: bool, at: At, request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_batch, "FEW", 3)
    with OpenAIBatchServer(queue=12_000, says=says) as server:
        flt, notes = at(server), list[str]()
        requests = texts(request_for, flt, 20)
        right(run(flt, requests, notes=notes), requests, flt)
    assert any("takes smaller batch jobs" in note and "Enqueued token limit reached" in note for note in notes)
    states = Counter(job["status"] for job in server.jobs.values())
    assert states["failed"] <= 5
    assert server.counters.paid == 20


def test_a_queue_that_others_fill_is_waited_for(at: At, request_for: Requesting, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIBatchServer(busy=4) as server:
        flt, notes = at(server), list[str]()
        requests = texts(request_for, flt, 6)
        right(run(flt, requests, notes=notes), requests, flt)
        assert [job["status"] for job in server.jobs.values()] == ["failed"] * 4 + ["completed"]
        assert sum("others fill the account's queue" in note for note in notes) == 4
        monkeypatch.setattr(openai_batch, "SUBMISSIONS", 3)
        server.busy = 10
        with pytest.raises(RateLimited, match="Enqueued token limit"):
            run(flt, [request_for(flt, "more")])
