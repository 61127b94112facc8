"""`label` against an endpoint with moods, over HTTP: its bill is that of the gateway or more, and never passes the budget."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.labeling.label import label, open_journal
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.labeling.oracles.prices import Price, Prices
from distillery.components.store import Store, open_store
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter
from tests.labeling.oracles.moods import USAGES, Mood, MoodyServer

PRICE = Price(input=1.0, output=10.0)
PRICES = Prices({"m": (PRICE, "today")})
BILLED = frozenset({"500", "hang", "400-filter", "garbage"})
ROUGH = Mood(latency=0.05, faults={"429": 0.3, "500": 0.1, "hang": 0.02, "malformed": 0.05}, retry_after=1.0, billed=BILLED)
REFUSING = Mood(seconds=60.0, latency=0.02, faults={"429": 1.0})
UNREADABLE = {f"usage: {name}": 0.9 / 12 for name, (_, readable) in USAGES.items() if not readable}
READABLE = {f"usage: {name}": 0.9 / 8 for name, (_, readable) in USAGES.items() if readable}
MOODS = {
    "bills that can't be read": Mood(faults=UNREADABLE),
    "failures that are billed": Mood(faults={"500": 0.15, "400-filter": 0.05, "garbage": 0.05, "cut": 0.1}, billed=BILLED),
    "all of it": Mood(
        faults={"429": 0.1, "500": 0.1, "cut": 0.05, "malformed": 0.05, **UNREADABLE}, retry_after=0.01, billed=BILLED
    ),
}
Asking = Callable[..., Filter]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distillery.components.labeling.engine.PAUSE", 0.001)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def articles(write: Callable[..., str]) -> Callable[[int], str]:
    return lambda n: write(
        f"a{n}.jsonl",
        [{"id": f"a{i}", "title": f"Pump {i}", "content": f"Pump number {i} heats {i * 7} homes."} for i in range(n)],
    )


def booked(store: Store, flt: Filter) -> tuple[float, float]:
    journal = open_journal(store, flt, oracle_identity(flt))
    return journal.usd, journal.unknown_usd


@pytest.mark.parametrize("mood", MOODS)
def test_what_is_booked_is_the_gateways_bill_or_more_and_never_passes_the_budget(
    key: str, quick: None, store: Store, asking: Asking, articles: Callable[[int], str], mood: str
) -> None:
    with MoodyServer([MOODS[mood]], seed=4) as server:
        flt = asking(provider="openai", baseUrl=server.url, maxOutputTokens=64)
        for budget in (0.02, 0.04, 10.0):
            with contextlib.suppress(Stopped):
                label(store, flt, articles=articles(60), prices=PRICES, budget=budget, concurrency=64)
            bill = server.gateway_bill(PRICE)
            known, unknown = booked(store, flt)
            assert bill <= known + unknown + 1e-9
            assert known + unknown <= budget + 1e-9
            assert unknown > 0
    assert server.counters.calls == len(server.began), "no call but those that the engine makes"
    assert set(server.answered.values()) == {1}, "what was answered was asked again"
    assert len(server.answered) >= 55


def test_a_bill_that_can_be_read_under_any_name_is_the_gateways_to_the_cent(
    key: str, store: Store, asking: Asking, articles: Callable[[int], str]
) -> None:
    with MoodyServer([Mood(faults=READABLE)], seed=4) as server:
        flt = asking(provider="openai", baseUrl=server.url, maxOutputTokens=64)
        record = label(store, flt, articles=articles(60), prices=PRICES)
    counted = server.counters
    assert all(counted.faults[name] for name in READABLE)
    plain = (counted.input_tokens * PRICE.input + counted.output_tokens * PRICE.output) / 1e6
    assert record.facts["usd"] == pytest.approx(plain, abs=1e-5)
    assert record.facts["usd_unknown"] == record.facts["unknown"] == 0


@pytest.mark.slow
def test_a_thousand_articles_take_two_minutes_at_most_from_an_endpoint_in_a_bad_mood(
    key: str, store: Store, asking: Asking, articles: Callable[[int], str]
) -> None:
    n = 1_000
    with MoodyServer([ROUGH], seed=1) as server:
        flt = asking(provider="openai", baseUrl=server.url, maxOutputTokens=64)
        began = time.monotonic()
        record = label(
            store, flt, articles=articles(n), prices=PRICES, budget=100.0, concurrency=32, without_calibration="a test"
        )
        seconds = time.monotonic() - began
        bill = server.gateway_bill(PRICE)
    counted, (known, unknown) = server.counters, booked(store, flt)
    print(
        f"\n{n:,} articles in {seconds:.0f} s: {counted.calls:,} calls, {dict(counted.faults)}, "
        f"{counted.max_in_flight} at once; bill ${bill:.4f}, "
        f"booked ${known:.4f} and ${unknown:.4f} in doubt; {record.outputs['dead']} without a label"
    )
    assert record.outputs["rows"] + record.outputs["dead"] == n
    assert record.outputs["dead"] <= 5
    assert counted.faults["hang"] > 10
    assert counted.max_in_flight <= 32
    assert set(server.answered.values()) == {1}
    assert known <= bill <= known + unknown
    assert seconds <= 120


@pytest.mark.slow
def test_a_minute_of_refusals_gets_two_probes_a_second_and_full_speed_is_back_soon(
    key: str, store: Store, asking: Asking, articles: Callable[[int], str]
) -> None:
    with MoodyServer([REFUSING, Mood(latency=1.0)], seed=1) as server:
        flt = asking(provider="openai", baseUrl=server.url, maxOutputTokens=64)
        record = label(store, flt, articles=articles(300), prices=PRICES, concurrency=32, without_calibration="a test")
        refused = [at for at, fault in server.began if fault]
        first = next(at for at, fault in server.began if not fault)
        full = next(at for at, flying in server.flying if at > first and flying == 32)
    print(
        f"\n{len(refused)} calls in 60 s of refusals, {server.most_within(1.0, 2.0, 59.0)} within a second at most; "
        f"first answer after {first:.1f} s, full speed {full - first:.1f} s later"
    )
    assert record.outputs["rows"] == 300
    assert len(refused) <= 32 + 2 * 60
    assert server.most_within(1.0, 2.0, 59.0) <= 2
    assert full - first <= 30
