"""An OpenAI-compatible endpoint that refuses, limits, bills or fails: each is told as what it is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from distillery.components.labeling.oracles.base import (
    OracleError,
    OutOfCredit,
    RateLimited,
    Refused,
    Unavailable,
)
from distillery.components.labeling.oracles.openai import Unaccepted, endpoint
from distillery.filters.errors import InputError
from tests.labeling.oracles.servers import QUOTA, OpenAIServer
from tests.labeling.oracles.test_openai_endpoint import Asking, Requesting, ask


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
