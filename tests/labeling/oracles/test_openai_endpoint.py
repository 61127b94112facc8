"""OpenAI-compatible endpoints over the wire, through the real client, faults included."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.labeling.oracles.base import (
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
    open_oracle,
    oracle_identity,
)
from distillery.components.labeling.oracles.keys import read_key
from distillery.components.labeling.oracles.waiting import retry_after
from distillery.components.labeling.replies import parse, parse_reply
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import OpenAIServer, article_key, true_scores

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
