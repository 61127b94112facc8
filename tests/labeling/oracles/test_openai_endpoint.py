"""OpenAI-compatible endpoints over the wire, through the real client, faults included."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.labeling.oracles.base import (
    OracleError,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
    open_oracle,
    oracle_identity,
)
from distillery.components.labeling.oracles.keys import read_key
from distillery.components.labeling.oracles.openai import Unaccepted, endpoint
from distillery.components.labeling.oracles.waiting import retry_after
from distillery.components.labeling.replies import parse, parse_reply
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import QUOTA, OpenAIServer, article_key, true_scores

Asking = Callable[..., Filter]
Requesting = Callable[..., Request]


def ask(flt: Filter, *requests: Request) -> list[RawReply | BaseException]:
    """All requests at once; what came of each."""

    async def run() -> list[RawReply | BaseException]:
        oracle = open_oracle(flt)
        try:
            return await asyncio.gather(*map(oracle.ask, requests), return_exceptions=True)
        finally:
            await oracle.close()

    return asyncio.run(run())


def one(flt: Filter, request: Request) -> RawReply:
    [found] = ask(flt, request)
    if isinstance(found, BaseException):
        raise found
    return found


def test_a_reply_with_its_bill(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(key=key) as server:
        flt = asking(provider="openai", baseUrl=server.url)
        request = request_for(flt)
        first, second = one(flt, request), one(flt, request)
    assert parse_reply(first.text, flt.dimensions) == true_scores(request.prompt)
    assert (first.finish, first.version) == ("stop", "served-model-2026-10-01")
    billed = first.usage + second.usage
    counters = server.counters
    assert (billed.input_tokens, billed.cached_tokens, billed.output_tokens) == (
        counters.input_tokens,
        counters.cached_tokens,
        counters.output_tokens,
    )
    assert 0 < billed.cached_tokens < billed.input_tokens
    assert counters.by_article == {article_key(request.prompt): 2}
    sent = server.requests[0]
    assert sent.headers["authorization"] == f"Bearer {key}"
    body = sent.json()
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 4096)
    assert body["messages"] == [{"role": "user", "content": request.prompt}]
    schema = body["response_format"]["json_schema"]["schema"]
    assert set(schema["required"]) == {"reasoning", "readiness", "benefit"}
    assert "maxLength" not in str(schema)


def test_content_types_are_in_the_schema(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer() as server:
        flt = asking(provider="openai", baseUrl=server.url)
        kinds = [{"name": "opinion", "description": "A column.", "cap": 5.0}]
        flt = Filter.model_validate({**flt.model_dump(), "spec": {**flt.model_dump()["spec"], "contentTypes": kinds}})
        reply = one(flt, request_for(flt))
    assert parse(reply.text, flt.dimensions, ["opinion"]).content_type is None
    schema = server.requests[0].json()["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["content_type"]["enum"] == ["opinion", "none"]


@pytest.mark.parametrize(
    ("formats", "token_key", "kept", "limit"),
    [
        ({"json_object"}, None, "json_object", "max_tokens"),
        (set(), None, "text", "max_tokens"),
        ({"json_schema"}, "max_completion_tokens", "json_schema", "max_completion_tokens"),
        ({"json_object"}, "max_completion_tokens", "json_object", "max_completion_tokens"),
    ],
)
def test_an_endpoint_that_takes_less_is_asked_otherwise_once(
    key: str, asking: Asking, request_for: Requesting, formats: set[str], token_key: str | None, kept: str, limit: str
) -> None:
    with OpenAIServer(formats=frozenset(formats), token_key=token_key, latency=0.02) as server:
        flt = asking(provider="openai", baseUrl=server.url)

        async def run() -> int:
            oracle = open_oracle(flt)
            await asyncio.gather(*(oracle.ask(request_for(flt, f"text {n}")) for n in range(5)))
            found = server.counters.calls
            await asyncio.gather(*(oracle.ask(request_for(flt, f"more {n}")) for n in range(5)))
            await oracle.close()
            return found

        calls = asyncio.run(run())
    assert calls <= 5 + 5 + 5  # all five the first way, one searches, the others follow
    assert server.counters.calls == calls + 5
    assert server.counters.paid == 10
    body = server.requests[-1].json()
    assert body.get("response_format", {}).get("type", "text") == kept
    assert limit in body


def test_a_refused_article_does_not_change_the_way_of_asking(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(script=["", "400", "400-filter", ""]) as server:
        flt = asking(provider="openai", baseUrl=server.url)

        async def run() -> list[RawReply | BaseException]:
            oracle = open_oracle(flt)
            found = [(await asyncio.gather(oracle.ask(request_for(flt, f"{n}")), return_exceptions=True))[0] for n in range(4)]
            await oracle.close()
            return found

        found = asyncio.run(run())
    assert [isinstance(one, Refused) for one in found] == [False, True, True, False]
    assert server.counters.calls == 4
    assert server.requests[-1].json()["response_format"]["type"] == "json_schema"


def test_what_no_way_of_asking_mends_is_refused(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(fault=lambda article, asked: "400") as server, pytest.raises(Refused, match="400 Bad request"):
        one(flt := asking(provider="openai", baseUrl=server.url), request_for(flt))
    assert server.counters.calls == 6


@pytest.mark.parametrize(("fault", "kind", "words"), [
    ("429", RateLimited, "429 Rate limit"), ("quota", OutOfCredit, "429 You exceeded your current quota"),
    ("402", OutOfCredit, "402 Insufficient Balance"), ("403-billing", OutOfCredit, "403"),
    ("500", Unavailable, "500"), ("503", Unavailable, "503"), ("cut", Unavailable, "RemoteProtocolError"),
    ("garbage", Unavailable, "not JSON"), ("400-filter", Refused, "filtered"), ("400-long", Refused, "context length"),
    ("empty", Refused, "no reply"), ("401", InputError, "ORACLE_API_KEY"), ("403", InputError, "ORACLE_API_KEY"),
    ("404", InputError, "oracle.model"), ("400-temperature", InputError, "set oracle.temperature to null"),
])  # fmt: skip
def test_faults(key: str, asking: Asking, request_for: Requesting, fault: str, kind: type[Exception], words: str) -> None:
    with OpenAIServer(script=[fault]) as server:
        flt = asking(provider="openai", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY")
        [found] = ask(flt, request_for(flt))
    assert type(found) is kind
    assert words in str(found)
    assert key not in str(found)
    assert server.counters.calls == 1  # the client's own retries are off
    if isinstance(found, OracleError):
        # A model, or a filter before it, may have read the prompt, and gateways bill that; a 429 is not taken up.
        assert found.unknown == (fault in ("cut", "garbage", "500", "503", "400-filter", "400-long"))


@pytest.mark.parametrize(
    ("error", "kind", "words", "unknown"),
    [
        ({"code": 429, "message": "Rate limited"}, RateLimited, "429 Rate limited", None),
        ({"code": "429", "message": "Rate limited"}, RateLimited, "429 Rate limited", None),
        ({"code": 402, "message": "Add credits"}, OutOfCredit, "402 Add credits", None),
        ({"code": 429, "message": "insufficient_quota"}, OutOfCredit, "insufficient_quota", None),
        ({"code": "rate_limit_exceeded", "message": "Slow down"}, RateLimited, "429 Slow down", None),
        ({"type": "rate_limit_error", "message": "Slow down"}, RateLimited, "429 Slow down", None),
        ({"code": "insufficient_quota", "message": "Top up"}, OutOfCredit, "429 Top up", None),
        ({"type": "overloaded_error", "message": "Overloaded"}, Unavailable, "503 Overloaded", True),
        ({"code": 503, "message": "overloaded"}, Unavailable, "503 overloaded", True),
        ({"code": 502}, Unavailable, "502", True),
        ({"code": 401, "message": "No auth"}, InputError, "refuses the key: 401 No auth", None),
        ({"code": 400, "message": "odd"}, Refused, "holds no reply: odd", True),
        ({"code": "moderation", "message": "flagged"}, Refused, "holds no reply: flagged", True),
        ("overloaded", Refused, "holds no reply: overloaded", True),
        ([], Refused, "holds no reply", True),
    ],
)
def test_an_error_in_an_answer_of_200_is_told_as_what_it_is(
    key: str, asking: Asking, error: object, kind: type[Exception], words: str, unknown: bool | None
) -> None:
    """As gateways write it that have sent their headers before the model behind them failed."""
    oracle = endpoint(asking(provider="openai", baseUrl="http://127.0.0.1:9/v1"))
    partly = {"index": 0, "message": {"content": '{"readiness": 1'}, "finish_reason": "error", "error": error}
    bodies = [{"error": error}, {"error": error, "choices": []}, {"choices": [partly]}] if error else [{"choices": []}]
    for body in bodies:
        with pytest.raises(kind, match=re.escape(words)) as caught:
            oracle.read(body)
        assert type(caught.value) is kind
        assert getattr(caught.value, "unknown", None) in ((unknown,) if unknown is not None else (False, None))


@pytest.mark.parametrize(
    ("status", "error", "kind", "unknown"),
    [
        (403, {"code": 403, "message": "Your chosen model requires moderation and your input was flagged"}, Refused, True),
        (403, {"code": 403, "message": "The text was flagged", "metadata": {"flagged_input": "x"}}, Refused, True),
        (400, {"message": "Content Exists Risk", "code": "invalid_request_error"}, Refused, True),
        (400, {"message": "Input data may contain inappropriate content.", "code": "data_inspection_failed"}, Refused, True),
        (
            400,
            {"message": "it exceeds the available context size", "type": "exceed_context_size_error"},
            Refused,
            True,
        ),
        (413, {"message": "The prompt is too long"}, Refused, True),
        (
            400,
            {"message": "No JSON.", "code": "json_validate_failed", "failed_generation": "{"},
            Unaccepted,
            True,
        ),
        (400, {"message": "Failed to call a function.", "code": "tool_use_failed", "failed_generation": ""}, Unaccepted, True),
        (400, {"message": "response_format is not supported"}, Unaccepted, False),
        (403, {"message": "Your account was flagged"}, InputError, None),
        (403, {"message": "Project has no access to this model", "code": "model_not_found"}, InputError, None),
        (401, {"message": "Your prompt was flagged: no key"}, InputError, None),
    ],
)
def test_what_is_wrong_with_one_article_is_no_fault_of_the_key(
    key: str, asking: Asking, status: int, error: dict[str, Any], kind: type[Exception], unknown: bool | None
) -> None:
    found = endpoint(asking(provider="openai", baseUrl="http://127.0.0.1:9/v1")).mapped(status, error, text={"error": error})
    assert type(found) is kind
    assert getattr(found, "unknown", None) == unknown


def quota(per: str, *, wait: str = "26s", told: str = "") -> dict[str, Any]:
    """An error of Gemini's OpenAI-compatible endpoint."""
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": f"GenerateRequestsPer{per}-FreeTier"}],
        },
        *([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait}] if wait else []),
    ]
    return {"error": {"code": 429, "message": QUOTA + told, "status": "RESOURCE_EXHAUSTED", "details": details}}


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("body", "headers", "kind", "wait"),
    [
        (quota("Minute"), {}, RateLimited, 26.0),
        (quota("Minute", wait="16.614023621s"), {}, RateLimited, 16.614023621),
        (quota("Minute", wait="", told=" Please retry in 9.5s."), {}, RateLimited, 9.5),
        (quota("Minute"), {"retry-after": "3"}, RateLimited, 3.0),
        (quota("Minute", wait=""), {}, OutOfCredit, None),
        (quota("Day"), {}, OutOfCredit, None),
        ({"error": {"message": "Rate limit reached. Please try again in 7.66s.", "code": "rate"}}, {}, RateLimited, 7.66),
        ({"error": {"message": "Rate limit reached. Please try again in 7m12s.", "code": "rate"}}, {}, RateLimited, None),
        ({"error": {"message": QUOTA, "code": "insufficient_quota"}}, {"retry-after": "3"}, OutOfCredit, None),
    ],
)
def test_a_limit_that_says_when_it_ends_is_no_quota_used_up(
    key: str, asking: Asking, body: Any, headers: dict[str, str], kind: type[OracleError], wait: float | None, listed: bool
) -> None:
    oracle = endpoint(asking(provider="openai", baseUrl="http://127.0.0.1:9/v1"))
    answer = [body] if listed else body
    found = oracle.mapped(429, answer, "", headers, json.dumps(answer))
    assert type(found) is kind
    assert getattr(found, "retry_after", None) == wait
    assert body["error"]["message"] in str(found)


@pytest.mark.parametrize("fault", ["500", "cut", "garbage", "empty", "401", "404"])
def test_a_failing_endpoint_is_named_by_its_address_without_its_secrets(
    key: str, asking: Asking, request_for: Requesting, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIServer(script=[fault]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("://", "://me:hunter2@"))
        flt = asking(provider="openai", apiKeyEnv="ORACLE_API_KEY")
        [found] = ask(flt, request_for(flt))
    assert f"the endpoint {server.url}".rstrip("/") in str(found)
    assert "hunter2" not in str(found)


def test_an_endpoint_that_nobody_serves_is_named_by_its_address(key: str, asking: Asking, request_for: Requesting) -> None:
    flt = asking(provider="openai", baseUrl="http://127.0.0.1:9/v1")
    [found] = ask(flt, request_for(flt))
    assert str(found).startswith("the endpoint http://127.0.0.1:9/v1 gave no answer: ")


def test_what_was_billed_without_a_reply_is_known(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(script=["empty"]) as server:
        [found] = ask(flt := asking(provider="openai", baseUrl=server.url), request_for(flt))
    assert isinstance(found, Refused)
    assert found.usage.input_tokens == server.counters.input_tokens > 0


@pytest.mark.parametrize(("fault", "finish", "usable"), [
    ("length", "length", False), ("blocked", "blocked", False), ("refusal", "blocked", False), ("malformed", "stop", False),
    ("no_usage", "stop", True),
])  # fmt: skip
def test_replies_that_are_not_as_they_should_be(
    key: str, asking: Asking, request_for: Requesting, fault: str, finish: str, usable: bool
) -> None:
    with OpenAIServer(script=[fault]) as server:
        reply = one(flt := asking(provider="openai", baseUrl=server.url), request_for(flt))
    assert reply.finish == finish
    assert bool(reply.usage) == (fault != "no_usage")
    if usable:
        parse_reply(reply.text, flt.dimensions)
    else:
        with pytest.raises(ValueError, match=r"the reply|is missing|is not stated"):
            parse_reply(reply.text, flt.dimensions)


def test_a_call_that_hangs_is_given_up_and_its_connection_with_it(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(script=["hang", "hang"]) as server:
        flt = asking(provider="openai", baseUrl=server.url, timeoutSeconds=0.2)
        [found] = ask(flt, request_for(flt))
        assert isinstance(found, Unavailable)
        assert "ReadTimeout" in str(found)
        assert found.unknown

        async def run() -> RawReply:
            oracle = open_oracle(asking(provider="openai", baseUrl=server.url))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await oracle.ask(request_for(flt))
            reply = await oracle.ask(request_for(flt))
            await oracle.close()
            return reply

        assert asyncio.run(run()).text
    assert server.counters.in_flight == 0


def test_nobody_is_there(key: str, asking: Asking, request_for: Requesting) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        flt = asking(provider="openai", baseUrl=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        [found] = ask(flt, request_for(flt))
    assert isinstance(found, Unavailable)
    assert not found.unknown  # nothing was sent, so nothing was billed


def test_many_at_once(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(latency=1.0) as server:
        flt = asking(provider="openai", baseUrl=server.url)
        found = ask(flt, *(request_for(flt, f"{n}") for n in range(150)))
    assert not [one for one in found if isinstance(one, BaseException)]
    assert server.counters.max_in_flight > 100  # no limit of the pool's own


def test_retry_after_in_every_form(key: str, asking: Asking, request_for: Requesting) -> None:
    with OpenAIServer(script=["429-after", "429-after-ms", "429"]) as server:
        flt = asking(provider="openai", baseUrl=server.url)
        found = [ask(flt, request_for(flt))[0] for _ in range(3)]
    assert [one.retry_after for one in found if isinstance(one, RateLimited)] == [2.0, 0.15, None]
    with OpenAIServer(script=["503"]) as server:
        [busy] = ask(flt := asking(provider="openai", baseUrl=server.url), request_for(flt))
    assert isinstance(busy, Unavailable)
    assert busy.retry_after == 1.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "99999999"}) == 3600
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({"retry-after": "soon"}) is None


def test_a_key_from_a_mounted_file(
    key: str, asking: Asking, request_for: Requesting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("sk-mounted\n", encoding="utf-8")
    monkeypatch.delenv("ORACLE_API_KEY")
    monkeypatch.setenv("ORACLE_API_KEY_FILE", str(tmp_path / "key"))
    with OpenAIServer(key="sk-mounted") as server:
        flt = asking(provider="openai", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY")
        assert one(flt, request_for(flt)).text


def test_without_a_key(key: str, asking: Asking, request_for: Requesting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("ORACLE_API_KEY")
    with pytest.raises(InputError, match="environment variable OPENAI_API_KEY: is not set; export OPENAI_API_KEY="):
        open_oracle(asking(provider="openai"))
    with OpenAIServer() as server:
        with pytest.raises(InputError, match="environment variable ORACLE_API_KEY: is not set"):
            open_oracle(asking(provider="openai", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY"))
        flt = asking(provider="openai", baseUrl=server.url)
        assert one(flt, request_for(flt)).text  # an endpoint of one's own needs none
        assert server.requests[0].headers["authorization"] == "Bearer none"


@pytest.mark.parametrize("value", ["sk-planted\nX-Evil: 1", "sk planted", "sk-plänted", "sk-planted\x00"])
def test_what_is_no_key_is_refused_without_quoting_it(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(value, encoding="utf-8")
    monkeypatch.delenv("ORACLE_API_KEY", raising=False)
    monkeypatch.setenv("ORACLE_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(InputError, match="does not hold a key") as caught:
        read_key("ORACLE_API_KEY")
    assert "pl" not in caught.value.what


def test_a_secret_that_is_not_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORACLE_API_KEY", raising=False)
    monkeypatch.setenv("ORACLE_API_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="FILE: its file can't be read: FileNotFoundError"):
        read_key("ORACLE_API_KEY")


def test_identity_is_what_answers_depend_on(key: str, asking: Asking) -> None:
    plain = oracle_identity(asking(provider="openai"))
    assert plain == oracle_identity(
        asking(
            provider="openai", baseUrl="http://elsewhere/v1", apiKeyEnv="ORACLE_API_KEY", requestsPerMinute=5, timeoutSeconds=7
        )
    )
    for other in ({"temperature": 0.5}, {"maxOutputTokens": 100}, {"model": "other"}):
        assert oracle_identity(asking(provider="openai", **other)) != plain
    assert key not in str(plain)


def test_the_client_is_loaded_only_when_one_connects() -> None:
    import subprocess

    names = "'openai', 'httpx', 'httpx2', 'google.genai', 'google.auth', 'google.api_core'"
    rooms = [f"distillery.components.labeling.oracles.{name}" for name in ("openai", "openai_batch", "vertex", "vertex_batch")]
    code = f"import sys, {', '.join(rooms)}; print([name for name in ({names}) if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
