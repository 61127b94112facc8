"""Gemini on Vertex AI, online, over the wire, through the real client, faults included."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from distillery.components.labeling.oracles.base import (
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
    Usage,
    open_oracle,
)
from distillery.components.labeling.oracles.gemini import mapped
from distillery.components.labeling.oracles.keys import NO_KEY
from distillery.components.labeling.replies import parse_reply
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import HttpResponse, true_scores
from tests.labeling.oracles.vertex_server import VertexServer, error

Asking = Callable[..., Filter]
Requesting = Callable[..., Request]
WHERE = {"provider": "vertex", "apiKeyEnv": "ORACLE_API_KEY", "project": "news", "location": "europe-west4"}


def ask(flt: Filter, *requests: Request) -> list[RawReply | BaseException]:
    """One after the other, with one oracle; what came of each."""

    async def run() -> list[RawReply | BaseException]:
        oracle = open_oracle(flt)
        try:
            return [(await asyncio.gather(oracle.ask(request), return_exceptions=True))[0] for request in requests]
        finally:
            await oracle.close()

    return asyncio.run(run())


def test_a_reply_with_its_bill(key: str, asking: Asking, request_for: Requesting) -> None:
    with VertexServer(token=key) as server:
        flt = asking(baseUrl=server.origin, thinkingBudget=0, maxOutputTokens=500, **WHERE)
        request = request_for(flt)
        [reply] = ask(flt, request)
    assert isinstance(reply, RawReply), reply
    assert parse_reply(reply.text, flt.dimensions) == true_scores(request.prompt)
    assert (reply.finish, reply.version) == ("stop", "served-model-2026-10-01")
    counters = server.counters
    assert reply.usage == Usage(counters.input_tokens, 0, counters.output_tokens)
    assert counters.calls == counters.paid == 1
    [sent] = server.requests
    assert sent.path == "/v1/projects/news/locations/europe-west4/publishers/google/models/m:generateContent"
    body = sent.json()
    assert body["contents"] == [{"role": "user", "parts": [{"text": request.part}]}]
    assert body["systemInstruction"]["parts"] == [{"text": request.prefix}]
    config = body["generationConfig"]
    assert (config["temperature"], config["maxOutputTokens"], config["thinkingConfig"]) == (0.0, 500, {"thinkingBudget": 0})
    schema = config["responseSchema"]
    assert schema["propertyOrdering"] == schema["required"] == ["reasoning", "readiness", "benefit"]
    assert schema["properties"]["readiness"] == {"type": "NUMBER", "minimum": 0, "maximum": 10}


@pytest.mark.parametrize(("fault", "kind", "words"), [
    ("429", RateLimited, "429 Resource exhausted"), ("quota", OutOfCredit, "GenerateRequestsPerDay"),
    ("403-billing", OutOfCredit, "billing"), ("500", Unavailable, "500"), ("503", Unavailable, "503"),
    ("504", Unavailable, "504"), ("cut", Unavailable, "RemoteProtocolError"), ("garbage", Unavailable, "not JSON"),
    ("400", Refused, "400 Request contains"), ("safety", Refused, "the reply is blocked: SAFETY"),
    ("prompt_blocked", Refused, "the prompt is blocked: PROHIBITED_CONTENT"), ("empty", Refused, "holds no reply"),
    ("401", InputError, "ORACLE_API_KEY"), ("403", InputError, "ORACLE_API_KEY"), ("404", InputError, "oracle.location"),
    ("hang", Unavailable, "ReadTimeout"),
])  # fmt: skip
def test_faults(key: str, asking: Asking, request_for: Requesting, fault: str, kind: type[Exception], words: str) -> None:
    with VertexServer(script=[fault]) as server:
        flt = asking(baseUrl=server.origin, timeoutSeconds=0.3 if fault == "hang" else 20, **WHERE)
        [found] = ask(flt, request_for(flt))
    assert type(found) is kind
    assert words in str(found)
    assert key not in str(found)
    assert server.counters.calls == 1  # the client's own retries are off
    if isinstance(found, OracleError):
        assert found.unknown == (fault in ("cut", "garbage", "hang", "500", "503", "504"))
        assert found.usage.input_tokens == (0 if fault in ("cut", "garbage") else server.counters.input_tokens)


@pytest.mark.parametrize(("fault", "finish"), [("length", "length"), ("malformed", "stop"), ("no_usage", "stop")])
def test_replies_that_are_not_as_they_should_be(
    key: str, asking: Asking, request_for: Requesting, fault: str, finish: str
) -> None:
    with VertexServer(script=[fault]) as server:
        flt = asking(baseUrl=server.origin, **WHERE)
        [reply] = ask(flt, request_for(flt))
    assert isinstance(reply, RawReply)
    assert reply.finish == finish
    assert bool(reply.usage) == (fault != "no_usage")
    if fault != "no_usage":
        with pytest.raises(ValueError, match=r"the reply|is missing|is not stated"):
            parse_reply(reply.text, flt.dimensions)


def test_a_retry_delay_among_the_details(key: str, asking: Asking, request_for: Requesting) -> None:
    with VertexServer(script=["429-after"]) as server:
        [found] = ask(flt := asking(baseUrl=server.origin, **WHERE), request_for(flt))
    assert isinstance(found, RateLimited)
    assert found.retry_after == 7


@pytest.mark.parametrize(
    ("per", "delay", "kind", "wait"),
    [
        ("PerMinute", "26s", RateLimited, 26.0),
        ("per_minute", "16.5s", RateLimited, 16.5),
        ("PerMinute", "", OutOfCredit, None),
        ("PerDay", "26s", OutOfCredit, None),
        ("per_day", "26s", OutOfCredit, None),
    ],
)
def test_a_limit_of_a_minute_is_waited_for_though_its_words_name_the_billing(
    per: str, delay: str, kind: type[OracleError], wait: float | None
) -> None:
    details = {"error": {"details": [{"quotaId": f"Requests{per}"}, *([{"retryDelay": delay}] if delay else [])]}}
    found = mapped(429, "You exceeded your current quota, please check your plan and billing details.", details, {}, NO_KEY)
    assert type(found) is kind
    assert getattr(found, "retry_after", None) == wait


def test_many_at_once(key: str, asking: Asking, request_for: Requesting) -> None:
    with VertexServer(latency=0.3) as server:
        flt = asking(baseUrl=server.origin, **WHERE)

        async def run() -> list[RawReply]:
            oracle = open_oracle(flt)
            found = await asyncio.gather(*(oracle.ask(request_for(flt, f"{n}")) for n in range(120)))
            await oracle.close()
            return found

        assert len(asyncio.run(run())) == 120
    assert server.counters.max_in_flight > 60


def besides(*requests: Request, unknown: bool) -> Usage:
    """The tokens that calls were billed besides their replies; each such bill is known, or none is."""
    bills = [bill for request in requests for bill in request.besides]
    assert {bill.unknown for bill in bills} <= {unknown}
    return sum((bill.usage for bill in bills), Usage())


@pytest.fixture
def long_rubric(asking: Asking) -> Asking:
    def made(**oracle: object) -> Filter:
        return asking(instructions=f"'{'Judge with care. ' * 400}'", **{**WHERE, **oracle})

    return made


def test_a_long_rubric_is_cached_once_and_deleted(key: str, long_rubric: Asking, request_for: Requesting) -> None:
    with VertexServer(token=key) as server:
        flt = long_rubric(baseUrl=server.origin)
        requests = [request_for(flt, f"text {n}") for n in range(12)]
        replies = ask(flt, *requests)
        made = [request for request in server.requests if request.path.endswith("/cachedContents") and request.method == "POST"]
        assert server.caches == {}  # its own, so deleted at the end
    assert all(isinstance(reply, RawReply) for reply in replies), replies
    billed = sum((reply.usage for reply in replies if isinstance(reply, RawReply)), besides(*requests, unknown=False))
    counters = server.counters
    assert billed == Usage(counters.input_tokens, counters.cached_tokens, counters.output_tokens)  # the cache's making, too
    assert counters.cached_tokens > 4 * 1024
    assert len(made) == 1
    assert made[0].json()["displayName"].startswith("distillery-")
    last = [request for request in server.requests if request.path.endswith(":generateContent")][-1].json()
    assert last["cachedContent"]
    assert "systemInstruction" not in last


def test_a_cache_that_exists_is_used_and_left(key: str, long_rubric: Asking, request_for: Requesting) -> None:
    with VertexServer() as server:
        flt = long_rubric(baseUrl=server.origin)

        async def two_runs() -> None:
            first, second = open_oracle(flt), open_oracle(flt)
            for n in range(10):
                await first.ask(request_for(flt, f"text {n}"))
                await second.ask(request_for(flt, f"text {n}"))
            assert len(server.caches) == 1
            await second.close()
            assert len(server.caches) == 1
            await first.close()
            assert server.caches == {}

        asyncio.run(two_runs())


def test_a_lost_cache_costs_no_reply(key: str, long_rubric: Asking, request_for: Requesting) -> None:
    with VertexServer() as server:
        flt = long_rubric(baseUrl=server.origin)

        async def run() -> None:
            oracle = open_oracle(flt)
            for n in range(20):
                await oracle.ask(request_for(flt, f"text {n}"))
                if n == 12:
                    server.caches.clear()
            await oracle.close()

        asyncio.run(run())
    assert server.counters.paid == 20


def test_a_cache_near_its_end_is_renewed(
    key: str, long_rubric: Asking, request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.labeling.oracles import vertex

    with VertexServer() as server:
        monkeypatch.setattr(vertex, "CACHE_RENEWED", vertex.CACHE_LIFE)
        flt = long_rubric(baseUrl=server.origin)
        assert all(isinstance(reply, RawReply) for reply in ask(flt, *(request_for(flt, f"{n}") for n in range(11))))
    assert [request.method for request in server.requests if "/cachedContents/" in request.path].count("PATCH") == 2


@pytest.mark.parametrize(("code", "status"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE")])
def test_a_cache_that_is_turned_away_does_not_double_the_calls(
    key: str, long_rubric: Asking, request_for: Requesting, monkeypatch: pytest.MonkeyPatch, code: int, status: str
) -> None:
    with VertexServer() as server:
        monkeypatch.setattr(server, "_cache", lambda *arguments: error(code, status, "not now"))
        flt = long_rubric(baseUrl=server.origin)

        async def run() -> None:
            oracle = open_oracle(flt)
            for n in range(20):
                await oracle.ask(request_for(flt, f"text {n}"))
            await oracle.close()

        asyncio.run(run())
    assert len([request for request in server.requests if "/cachedContents" in request.path]) == 1


def test_a_cache_whose_making_nobody_answered_counts_at_its_worst(
    key: str, long_rubric: Asking, request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VertexServer() as server:
        cache = server._cache
        monkeypatch.setattr(
            server,
            "_cache",
            lambda request, *more: error(500, "INTERNAL", "oh") if request.method == "POST" else cache(request, *more),
        )
        flt = long_rubric(baseUrl=server.origin)

        requests = [request_for(flt, f"text {n}") for n in range(12)]
        replies = ask(flt, *requests)
    billed = sum((reply.usage for reply in replies if isinstance(reply, RawReply) and reply.usage), Usage())
    assert billed.input_tokens == server.counters.input_tokens
    assert besides(*requests, unknown=True).input_tokens == len(requests[0].prefix.encode())


@pytest.mark.parametrize("fault", ["no_usage", "500", "404", "safety", "400"])
def test_what_making_a_cache_cost_is_not_lost_whatever_becomes_of_the_call(
    key: str, long_rubric: Asking, request_for: Requesting, fault: str
) -> None:
    with VertexServer(script=[""] * 8 + [fault]) as server:
        flt = long_rubric(baseUrl=server.origin)
        requests = [request_for(flt, f"text {n}") for n in range(9)]
        last = ask(flt, *requests)[-1]
    assert isinstance(last, RawReply) == (fault == "no_usage")
    assert besides(*requests[:8], unknown=False) == Usage()
    assert besides(requests[8], unknown=False).input_tokens > 1_024


def test_a_cache_that_is_made_when_the_call_is_given_up_counts_at_its_worst(
    key: str, long_rubric: Asking, request_for: Requesting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VertexServer() as server:
        cache = server._cache
        monkeypatch.setattr(
            server,
            "_cache",
            lambda request, *more: HttpResponse(hang=True) if request.method == "POST" else cache(request, *more),
        )
        flt = long_rubric(baseUrl=server.origin)
        requests = [request_for(flt, f"text {n}") for n in range(12)]

        async def run() -> None:
            oracle = open_oracle(flt)
            for request in requests:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(oracle.ask(request), 1.0)
            await oracle.close()

        asyncio.run(run())
        made = [request for request in server.requests if request.path.endswith("/cachedContents") and request.method == "POST"]
    assert len(made) == 1, "the calls after it do not wait for the same"
    assert besides(requests[8], unknown=True).input_tokens == len(requests[8].prefix.encode())
    assert [len(request.besides) for request in requests] == [0] * 8 + [1, 0, 0, 0]


def test_where_the_prefix_is_too_short_for_the_model(key: str, long_rubric: Asking, request_for: Requesting) -> None:
    with VertexServer(cache_minimum=50_000) as server:
        flt = long_rubric(baseUrl=server.origin)
        assert all(isinstance(reply, RawReply) for reply in ask(flt, *(request_for(flt, f"text {n}") for n in range(14))))
    assert len([request for request in server.requests if request.path.endswith("/cachedContents")]) == 1


def test_without_credentials_or_project(key: str, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"spec.oracle.project: is not set; set it, or export GOOGLE_CLOUD_PROJECT="):
        open_oracle(asking(provider="vertex", apiKeyEnv="ORACLE_API_KEY"))
    with pytest.raises(InputError, match="environment variable OTHER_TOKEN: is not set"):
        open_oracle(asking(provider="vertex", apiKeyEnv="OTHER_TOKEN", project="news"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(InputError, match="no credentials for Vertex AI: DefaultCredentialsError"):
        open_oracle(asking(provider="vertex", project="news"))
