"""The label step over OpenAI's batch jobs: every article labelled or dead, nothing paid twice, half the price."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from distillery.components.calibration.noise import asked_again
from distillery.components.labeling.label import label
from distillery.components.labeling.oracles import openai_batch
from distillery.components.labeling.oracles.base import BatchOracle
from distillery.components.labeling.oracles.prices import Price, Prices
from distillery.components.labeling.quote import quote
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.labeling.conftest import FILTER
from tests.labeling.oracles.openai_batch_server import OpenAIBatchServer

PRICES = Prices({"m": (Price(input=1.0, output=10.0, cached=0.1, batch=0.5), "2026-11-01")})
Write = Callable[[str, Iterable[Mapping[str, object]]], str]
At = Callable[..., Filter]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_batch, "POLL", (0.01, 0.02))


@pytest.fixture
def articles(write: Write) -> str:
    rows = [{"id": f"{n}", "title": f"Article {n}", "content": f"Solar roof number {n} works well. " * 5} for n in range(30)]
    return write("articles.jsonl", rows)


@pytest.fixture
def at(key: str, asking: Callable[..., Filter]) -> At:
    return lambda server, provider="openai-batch": asking(
        provider=provider, baseUrl=server.url, apiKeyEnv="ORACLE_API_KEY", maxOutputTokens=200
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def billed(server: OpenAIBatchServer) -> float:
    """Half of the list price, and no discount for a cached prefix beside it."""
    return (server.counters.input_tokens + 10 * server.counters.output_tokens) * 0.5 / 1e6


def test_all_are_labelled_at_half_the_price(store: Store, articles: str, at: At) -> None:
    with OpenAIBatchServer() as server:
        flt = at(server)
        routes = {route.name: route.usd for route in quote(store, flt, articles, PRICES).routes if not route.unavailable}
        assert routes["batch"] == pytest.approx(routes["online"] / 2)
        record = label(store, flt, articles=articles, prices=PRICES)
    assert (record.outputs["rows"], record.outputs["dead"]) == (30, 0)
    assert record.facts["calls"] == server.counters.calls == 30
    assert record.facts["usd"] == pytest.approx(billed(server), abs=1e-6)


def test_replies_that_are_no_use_are_asked_for_again_in_another_job(store: Store, articles: str, at: At) -> None:
    def fault(article: str, asked: int) -> str:
        kind = int(article, 16) % 5
        return "malformed" if kind == 0 or (kind == 1 and not asked) else "400-long" if kind == 2 and not asked else ""

    with OpenAIBatchServer(fault=fault) as server:
        record = label(store, at(server), articles=articles, prices=PRICES)
        again = label(store, at(server), articles=articles, prices=PRICES)
    dead = record.outputs["dead"]
    assert 0 < dead < 15
    assert record.outputs["rows"] == 30 - dead
    assert len(server.jobs) == 3
    assert again.reused
    assert set(server.counters.by_article.values()) <= {1, 2, 3}


def test_a_killed_run_pays_for_nothing_twice(store: Store, articles: str, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.labeling.batch import BatchEngine

    keep, kept = BatchEngine._keep, list[object]()

    async def killed(self: BatchEngine, *given: object) -> None:
        if len(kept) == 11:
            raise MemoryError("killed")
        kept.append(given)
        await keep(self, *given)  # type: ignore[arg-type]

    with OpenAIBatchServer() as server:
        with monkeypatch.context() as patched:
            patched.setattr(BatchEngine, "_keep", killed)
            with pytest.raises(MemoryError):
                label(store, at(server), articles=articles, prices=PRICES)
        record = label(store, at(server), articles=articles, prices=PRICES)
    assert (record.outputs["rows"], record.facts["cached"]) == (30, 11)
    assert (server.counters.paid, len(server.jobs)) == (30, 1)
    assert record.facts["usd_total"] == pytest.approx(billed(server), abs=1e-6)


def test_a_budget_is_not_passed(store: Store, articles: str, at: At) -> None:
    with OpenAIBatchServer() as server:
        flt = at(server)
        with pytest.raises(Stopped, match="of the budget of"):
            label(store, flt, articles=articles, prices=PRICES, budget=0.006)
        assert 0 < billed(server) <= 0.006
        assert 0 < server.counters.paid < 30
        record = label(store, flt, articles=articles, prices=PRICES, budget=1.0)
    assert (record.outputs["rows"], server.counters.paid) == (30, 30)


def test_what_stops_it(store: Store, articles: str, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIBatchServer(jobs=["model"]) as server, pytest.raises(InputError, match="not supported by the Batch API"):
        label(store, at(server), articles=articles, prices=PRICES)
    with OpenAIBatchServer(jobs=["billing"]) as server, pytest.raises(Stopped, match="Billing hard limit"):
        label(store, at(server), articles=articles, prices=PRICES)
    with OpenAIBatchServer(fault=lambda article, asked: "malformed") as server:
        with pytest.raises(Stopped, match="20 calls in a row failed"):
            label(store, at(server), articles=articles, prices=PRICES)
        assert len(server.jobs) == 1  # and no second
    monkeypatch.setattr("distillery.components.labeling.oracles.openai_jobs.TRIES", 2)
    with OpenAIBatchServer() as server:
        flt = at(server)
    with pytest.raises(Stopped, match=r"the batch service can't be reached.*found again"):
        label(store, flt, articles=articles, prices=PRICES)


def test_labels_made_online_are_not_bought_again_by_batch_nor_the_other_way(store: Store, articles: str, at: At) -> None:
    with OpenAIBatchServer() as server:
        assert label(store, at(server, "openai"), articles=articles, prices=PRICES).outputs["rows"] == 30
        assert label(store, at(server), articles=articles, prices=PRICES).reused
    assert server.jobs == {}
    assert server.counters.paid == 30


def test_noise_is_measured_online_where_labels_come_by_jobs(at: At) -> None:
    with OpenAIBatchServer() as server:
        assert not isinstance(asked_again(at(server), 2), BatchOracle)


def test_ctrl_c_says_how_to_come_back_and_the_same_command_takes_up_the_job(key: str, tmp_path: Path, articles: str) -> None:
    path = tmp_path / "filter.yaml"
    with OpenAIBatchServer(polls=10**6) as server:
        oracle = f"provider: openai-batch, model: m, apiKeyEnv: ORACLE_API_KEY, baseUrl: '{server.url}'"
        path.write_text(FILTER.replace("model: recorded", oracle), encoding="utf-8")
        command = [sys.executable, "-m", "distillery.pipelines.cli.main", "label", str(path), "--articles", articles,
                   "--without-calibration", "a test"]  # fmt: skip
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ})
        deadline = time.monotonic() + 150
        while server.looks.get("batch_0", 0) < 2:  # what the first look found is printed then
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=150)
        assert process.returncode == 130
        assert "batch job batch_0: in progress, 0 of 30 done" in said
        assert "the batch jobs run on, and the same command takes in what they have done" in said
        server.polls = 0
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert "30 labelled (0 of them before)" in done.stdout, done.stderr
    assert (len(server.jobs), server.counters.paid) == (1, 30)
