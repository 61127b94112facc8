from __future__ import annotations

from collections.abc import Callable

import pytest

from distillery.components.articles.articles import Article
from distillery.components.labeling.oracles.base import Request
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.filters.prompt import render_prompt, rubric
from tests.labeling.conftest import FILTER

PLANTED = "sk-planted-0123456789abcdef"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The planted key, in the environment; nothing else of the services' is."""
    for name in (
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY_FILE",
        "ORACLE_API_KEY_FILE",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "ORACLE_API_KEY"):
        monkeypatch.setenv(name, PLANTED)
    return PLANTED


@pytest.fixture
def asking() -> Callable[..., Filter]:
    """Return a function that makes a filter whose oracle has the keys it is called with, such as `provider="openai"`."""

    def made(**oracle: object) -> Filter:
        given = ", ".join(f"{name}: {value}" for name, value in {"model": "m", **oracle}.items())
        return load_filter_text(FILTER.replace("model: recorded", given), "demo.yaml")

    return made


@pytest.fixture
def request_for() -> Callable[..., Request]:
    """The request for an article of this text."""

    def made(flt: Filter, text: str = "A solar roof works.", attempt: int = 1) -> Request:
        article = Article(id=text, title=text, content=f"{text} {text}")
        prompt, prefix = render_prompt(flt, article.title, article.content), rubric(flt)
        return Request(article, prefix, prompt.removeprefix(prefix), attempt)

    return made


@pytest.fixture
def at(key: str, asking: Callable[..., Filter]) -> Callable[..., Filter]:
    """Makes a filter whose batch oracle is at a server."""
    return lambda server, **more: asking(
        provider="openai-batch", baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY", maxOutputTokens=200, **more
    )
