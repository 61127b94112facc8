"""What keeps an oracle from being asked is told by the first step and by `plan`, and only where something is left to ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.components.labeling.label import label
from distillery.components.preflight.preflight import check, preflight
from distillery.components.preflight.request import RunRequest
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.loading import load_filter
from distillery.pipelines.plan import _oracle_lacks
from tests.labeling.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer

KEY = "OPENAI_API_KEY"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv(KEY, "sk-test")
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def write_articles(folder: Path, n: int) -> Path:
    path = folder / "articles.jsonl"
    rows = [{"id": f"a{i}", "title": f"Pump {i}", "content": f"Pump number {i} heats {7 * i} homes."} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def asking(folder: Path, url: str, *, n: int = 6, budget: float = 0.0, more: str = "") -> RunRequest:
    """A run whose oracle is at this address."""
    path = folder / "filter.yaml"
    oracle = f"provider: openai, model: house-llm, apiKeyEnv: {KEY}, maxOutputTokens: 64, baseUrl: '{url}'{more}"
    path.write_text(FILTER.replace("model: recorded", oracle), encoding="utf-8")
    return RunRequest(str(path), articles=str(write_articles(folder, n)), budget=budget)


def nowhere() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def planned(store: Store, request: RunRequest) -> str:
    return "; ".join(_oracle_lacks(store, load_filter(request.filter), Path(request.articles)))


def left(store: Store) -> list[str]:
    return sorted(store.keys("filters/"))


def test_a_missing_key(tmp_path: Path, store: Store, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    request = asking(tmp_path, server.url)
    with pytest.raises(InputError, match=f"{KEY}: is not set; export {KEY}"):
        preflight(store, request)
    assert (left(store), server.counters.connections) == ([], 0)
    assert f"environment variable {KEY}: is not set" in planned(store, request)


def test_an_endpoint_that_nobody_reaches(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-test")
    request = asking(tmp_path, nowhere())
    with pytest.raises(Stopped, match="can't be reached: ConnectError"):
        preflight(store, request)
    assert left(store) == []
    assert "can't be reached: ConnectError" in planned(store, request)


def test_an_endpoint_that_answers_is_asked_nothing(tmp_path: Path, store: Store, server: OpenAIServer) -> None:
    request = asking(tmp_path, server.url)
    assert preflight(store, request).outputs["articles"] == request.articles
    assert planned(store, request) == ""
    assert server.counters.calls == 0


def test_a_model_without_a_price_under_a_budget(tmp_path: Path, store: Store, server: OpenAIServer) -> None:
    request = asking(tmp_path, server.url, budget=1.0)
    for refuse in (lambda: check(request), lambda: preflight(store, request)):
        with pytest.raises(InputError, match=r"no price is known for house-llm.*oracle\.price"):
            refuse()
    assert left(store) == []
    check(asking(tmp_path, server.url, budget=1.0, more=", price: {input: 1, output: 2}"))
    check(asking(tmp_path, server.url))
    priceless = asking(tmp_path, server.url, budget=1.0)
    check(RunRequest(priceless.filter, labels=priceless.articles, budget=1.0))  # nobody is paid


def test_what_is_labelled_needs_no_oracle(
    tmp_path: Path, store: Store, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asking(tmp_path, server.url)
    label(store, load_filter(request.filter), articles=request.articles)
    monkeypatch.delenv(KEY)
    preflight(store, request)
    write_articles(tmp_path, 4)  # another file, whose articles are labelled all the same
    preflight(store, request)
    assert planned(store, request) == ""
    write_articles(tmp_path, 7)
    with pytest.raises(InputError, match=f"{KEY}: is not set"):
        preflight(store, request)
    assert f"{KEY}: is not set" in planned(store, request)


def test_a_dead_letter_is_not_asked_again(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-test")
    with OpenAIServer(fault=lambda article, asked: "malformed" if int(article, 16) % 3 == 0 else "") as server:
        request = asking(tmp_path, server.url, n=12)
        assert label(store, load_filter(request.filter), articles=request.articles).outputs["dead"] > 0
    monkeypatch.delenv(KEY)
    preflight(store, request)


def test_labels_and_recorded_replies_need_none(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    request = asking(tmp_path, nowhere())
    preflight(store, RunRequest(request.filter, labels=request.articles))
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"id": "a0", "reply": "{}"}\n', encoding="utf-8")
    path = tmp_path / "recorded.yaml"
    path.write_text(FILTER.replace("model: recorded", f"model: recorded, replies: '{replies}'"), encoding="utf-8")
    preflight(store, RunRequest(str(path), articles=request.articles))
