"""A place that lists hosts lets no other be asked, whatever provider, and sends nothing before that is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from distillery.components.labeling.oracles.base import open_oracle
from distillery.components.labeling.oracles.hosts import HOSTS
from distillery.components.labeling.oracles.reach import require_oracle
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import OpenAIServer
from tests.labeling.oracles.test_reach import PROVIDERS

Asking = Callable[..., Filter]
LISTED = "api.openai.com, LLM.internal,vllm.models.svc:8000"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_host_that_is_not_listed_is_refused_before_anything_is_sent(
    provider: str, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    with OpenAIServer() as server:
        flt = asking(provider=provider, baseUrl=server.url, **PROVIDERS[provider])
        monkeypatch.setenv(HOSTS, LISTED)
        with pytest.raises(InputError, match=r"spec\.oracle\.baseUrl.*may not be asked from here.*llm\.internal") as error:
            require_oracle(flt)
        assert "sk-planted" not in str(error.value)
        assert not server.requests


@pytest.mark.parametrize(
    "base",
    ["https://api.openai.com/v1", "https://llm.internal", "http://LLM.INTERNAL:9000/v1", "http://vllm.models.svc:8000/v1"],
)
def test_a_listed_host_is_opened(base: str, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv(HOSTS, LISTED)
    asyncio.run(open_oracle(asking(provider="openai", baseUrl=base)).close())


@pytest.mark.parametrize(
    "base",
    [
        "https://api.openai.com.example.org/v1",
        "https://my-api.openai.com/v1",
        "https://openai.com/v1",
        "http://vllm.models.svc:8001/v1",
        "http://vllm.models.svc/v1",
        "https://example.org/api.openai.com",
    ],
)
def test_a_name_that_is_nearly_a_listed_one_is_none(base: str, asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv(HOSTS, LISTED)
    with pytest.raises(InputError, match="may not be asked from here"):
        open_oracle(asking(provider="openai", baseUrl=base))


def test_the_providers_own_endpoint_and_a_place_that_lists_none_are_as_before(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    monkeypatch.setenv(HOSTS, LISTED)
    asyncio.run(open_oracle(asking(provider="openai")).close())
    monkeypatch.setenv(HOSTS, " , ")
    asyncio.run(open_oracle(asking(provider="openai", baseUrl="https://anywhere.example.org")).close())
