"""The label step over a batch oracle: every article labelled or dead, nothing paid twice, the bill that of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from distillery.components.labeling import run_lock
from distillery.components.labeling.label import label, open_journal
from distillery.components.labeling.oracles import vertex_batch
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.labeling.oracles.prices import Price, Prices
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.labeling.oracles.vertex_server import VertexServer

PRICES = Prices({"m": (Price(input=1.0, output=10.0, cached=0.1, batch=0.5), "2026-11-01")})
Write = Callable[[str, Iterable[Mapping[str, object]]], str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertex_batch, "POLL", (0.01, 0.02))


@pytest.fixture
def articles(write: Write) -> str:
    rows = [{"id": f"{n}", "title": f"Article {n}", "content": f"Solar roof number {n} works well. " * 5} for n in range(30)]
    return write("articles.jsonl", rows)


@pytest.fixture
def flt_for(key: str, asking: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch) -> Callable[[VertexServer], Filter]:
    def made(server: VertexServer) -> Filter:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.origin)
        return asking(
            provider="vertex-batch",
            baseUrl=server.origin,
            apiKeyEnv="ORACLE_API_KEY",
            project="news",
            maxOutputTokens=200,
            batchPrefix="gs://bucket/labels",
        )

    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def billed(server: VertexServer) -> float:
    return (server.counters.input_tokens + 10 * server.counters.output_tokens) * 0.5 / 1e6


def test_all_are_labelled_and_the_bill_is_the_services(store: Store, articles: str, flt_for: Callable[..., Filter]) -> None:
    with VertexServer() as server:
        record = label(store, flt_for(server), articles=articles, prices=PRICES)
    assert (record.outputs["rows"], record.outputs["dead"]) == (30, 0)
    assert record.facts["calls"] == server.counters.calls == 30
    assert record.facts["usd"] == pytest.approx(billed(server), abs=1e-6)


def test_replies_that_are_no_use_are_asked_for_again_in_another_job(
    store: Store, articles: str, flt_for: Callable[..., Filter]
) -> None:
    def fault(article: str, asked: int) -> str:
        kind = int(article, 16) % 5
        return "malformed" if kind == 0 or (kind == 1 and not asked) else "400" if kind == 2 and not asked else ""

    with VertexServer(fault=fault) as server:
        record = label(store, flt_for(server), articles=articles, prices=PRICES)
        again = label(store, flt_for(server), articles=articles, prices=PRICES)
    dead = record.outputs["dead"]
    assert 0 < dead < 15
    assert record.outputs["rows"] == 30 - dead
    assert len(server.jobs) == 3
    assert record.facts["usd"] == pytest.approx(billed(server), abs=1e-6)
    assert again.reused
    assert set(server.counters.by_article.values()) <= {1, 2, 3}


def test_a_killed_run_pays_for_nothing_twice(
    store: Store, articles: str, flt_for: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.components.labeling.batch import BatchEngine

    keep, kept = BatchEngine._keep, []

    async def killed(self: BatchEngine, *given: object) -> None:
        if len(kept) == 11:
            raise MemoryError("killed")
        kept.append(given)
        await keep(self, *given)  # type: ignore[arg-type]

    with VertexServer() as server:
        with monkeypatch.context() as patched:
            patched.setattr(BatchEngine, "_keep", killed)
            with pytest.raises(MemoryError):
                label(store, flt_for(server), articles=articles, prices=PRICES)
        record = label(store, flt_for(server), articles=articles, prices=PRICES)
    assert record.outputs["rows"] == 30
    assert record.facts["cached"] == 11
    assert server.counters.paid == 30
    assert len(server.jobs) == 1
    assert record.facts["usd_total"] == pytest.approx(billed(server), abs=1e-6)


def test_a_budget_is_not_passed(store: Store, articles: str, flt_for: Callable[..., Filter]) -> None:
    with VertexServer() as server:
        flt = flt_for(server)
        with pytest.raises(Stopped, match="of the budget of"):
            label(store, flt, articles=articles, prices=PRICES, budget=0.006)
        assert 0 < billed(server) <= 0.006
        assert 0 < server.counters.paid < 30
        assert len(server.jobs) > 1  # what the first job left of the budget goes into the next
        record = label(store, flt, articles=articles, prices=PRICES, budget=1.0)
    assert record.outputs["rows"] == 30
    assert server.counters.paid == 30


def test_rows_without_a_bill_count_at_their_worst_case(store: Store, articles: str, flt_for: Callable[..., Filter]) -> None:
    with VertexServer(fault=lambda article, asked: "no_usage" if int(article, 16) % 2 else "") as server:
        flt = flt_for(server)
        with pytest.raises(Stopped, match="are held for calls whose bill nobody knows"):
            label(store, flt, articles=articles, prices=PRICES, budget=0.02)
        journal = open_journal(store, flt, oracle_identity(flt))
        assert 0 < journal.unknown_usd < journal.usd + journal.unknown_usd <= 0.02
        assert server.counters.paid < 30
        record = label(store, flt, articles=articles, prices=PRICES, budget=1.0)
    assert record.outputs["rows"] == 30
    assert record.facts["usd_total"] == pytest.approx(billed(server), abs=1e-6)
    assert record.facts["usd_unknown"] > billed(server)


def test_a_row_whose_answer_is_no_answer_is_not_asked_again_unseen(
    store: Store, articles: str, flt_for: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = VertexServer._complete
    with VertexServer(fault=lambda article, asked: "" if asked else "odd") as server:
        monkeypatch.setattr(
            server, "_complete", lambda prompt, fault, cached: ["odd"] if fault else complete(server, prompt, "", 0)
        )
        record = label(store, flt_for(server), articles=articles, prices=PRICES)
    assert record.outputs["rows"] == 30
    assert (record.facts["calls"], record.facts["unknown"]) == (60, 30)


def test_what_stops_it(store: Store, articles: str, flt_for: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch) -> None:
    with VertexServer(jobs=["denied"]) as server, pytest.raises(InputError, match="may not read the bucket"):
        label(store, flt_for(server), articles=articles, prices=PRICES)
    with VertexServer(fault=lambda article, asked: "malformed") as server:
        with pytest.raises(Stopped, match="20 calls in a row failed"):
            label(store, flt_for(server), articles=articles, prices=PRICES)
        assert len(server.jobs) == 1  # and no second
    monkeypatch.setattr(vertex_batch, "TRIES", 2)
    with VertexServer() as server:
        flt = flt_for(server)
    with pytest.raises(Stopped, match="the batch service can't be reached"):
        label(store, flt, articles=articles, prices=PRICES)


def test_retry_dead_asks_anew_instead_of_taking_up_the_replies_that_were_no_use(
    store: Store, articles: str, flt_for: Callable[..., Filter]
) -> None:
    mended = 3  # asked so often, an article gets a usable reply

    def fault(article: str, asked: int) -> str:
        return "malformed" if int(article, 16) % 9 == 0 and asked < mended else ""

    with VertexServer(fault=fault) as server:
        flt = flt_for(server)
        dead = label(store, flt, articles=articles, prices=PRICES).outputs["dead"]
        assert 0 < dead < 7  # 20 failures in a row would stop the run
        assert label(store, flt, articles=articles, prices=PRICES).outputs["dead"] == dead
        jobs, paid, mended = len(server.jobs), server.counters.paid, 7
        assert label(store, flt, articles=articles, prices=PRICES, retry_dead=True).outputs["dead"] == dead
        assert (len(server.jobs), server.counters.paid) == (jobs + 3, paid + 3 * dead)
        again = label(store, flt, articles=articles, prices=PRICES, retry_dead=True)
    assert (again.outputs["rows"], again.outputs["dead"]) == (30, 0)
    assert again.facts["usd_total"] == pytest.approx(billed(server), abs=1e-6)


def test_two_runs_at_the_same_moment_submit_one_job(
    store: Store, articles: str, flt_for: Callable[..., Filter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "LOOK", 0.02)
    with VertexServer() as server:
        flt = flt_for(server)
        with ThreadPoolExecutor(2) as pool:
            found = [pool.submit(label, store, flt, articles=articles, prices=PRICES) for _ in range(2)]
            sets = {one.result(60).outputs["label_set"] for one in found}
    assert len(sets) == len(server.jobs) == 1
    assert server.counters.paid == 30


def test_labels_made_online_are_not_bought_again_by_batch(store: Store, articles: str, flt_for: Callable[..., Filter]) -> None:
    with VertexServer() as server:
        batch = flt_for(server)
        oracle = batch.spec.oracle.model_copy(update={"provider": "vertex"})
        online = batch.model_copy(update={"spec": batch.spec.model_copy(update={"oracle": oracle})})
        assert label(store, online, articles=articles, prices=PRICES).outputs["rows"] == 30
        label(store, batch, articles=articles, prices=PRICES)
    assert server.jobs == {}
    assert server.counters.paid == 30
