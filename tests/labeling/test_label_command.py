"""`distillery label` against a local OpenAI-compatible server: storms, budgets, breakers, dead letters, quotes, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distillery.components.labeling.injections import orders
from distillery.components.labeling.oracles.base import Usage
from distillery.components.labeling.oracles.prices import read_prices
from distillery.filters.loading import load_filter_text
from distillery.filters.prompt import render_prompt
from distillery.pipelines.cli.main import main
from tests.labeling.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer, article_key, true_scores

STORM = {"429": 0.3, "500": 0.1, "hang": 0.05, "malformed": 0.05}


class Ran(NamedTuple):
    code: int
    out: dict[str, Any]
    err: str


def row(number: int) -> dict[str, object]:
    return {"id": f"a{number}", "title": f"Pump {number}", "content": f"Pump number {number} heats {number * 7} homes."}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `distillery label` on the first `n` articles against a server; prints are parsed as JSON."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    filter_path = tmp_path / "filter.yaml"
    filter_path.write_text(FILTER.replace("model: recorded", "provider: openai, model: gpt-4o-mini"), encoding="utf-8")

    def label(server: OpenAIServer | None, n: int, *options: str, seconds: float = 5) -> Ran:
        articles = tmp_path / f"articles-{n}.jsonl"
        articles.write_text("".join(json.dumps(row(number)) + "\n" for number in range(n)), encoding="utf-8")
        url = server.url if server else "http://127.0.0.1:9"
        monkeypatch.setattr(sys, "argv", [
            "distillery", "label", str(filter_path), "--articles", str(articles), "--store", str(tmp_path / "store"), "--json",
            "--set", f"oracle.baseUrl={url}", "--set", f"oracle.timeoutSeconds={seconds}", "--set", "oracle.maxOutputTokens=64",
            "--without-calibration", "a test", *options])  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ran(int(ended.value.code or 0), json.loads(out) if out else {}, err)

    return label


def bill(server: OpenAIServer) -> float:
    counted = server.counters
    price, _ = read_prices().of("gpt-4o-mini") or pytest.fail("no price")
    return price.usd(Usage(counted.input_tokens, counted.cached_tokens, counted.output_tokens))


def test_every_article_is_labelled_once_with_what_the_server_said(run: Callable[..., Ran], tmp_path: Path) -> None:
    with OpenAIServer() as server:
        ran = run(server, 60, "--out", str(tmp_path / "labels.jsonl"))
        assert ran.code == 0
        assert {key: ran.out[key] for key in ("labeled", "dead", "cached", "calls")} == {
            "labeled": 60,
            "dead": 0,
            "cached": 0,
            "calls": 60,
        }
        assert ran.out["usd"] == pytest.approx(bill(server), abs=1e-6)
        again = run(server, 60)
        assert (again.out["labeled"], again.out["cached"], again.out["calls"], again.out["usd"]) == (60, 60, 0, 0)
        more = run(server, 70)
        assert (more.out["labeled"], more.out["cached"], more.out["calls"]) == (70, 60, 10)
        assert server.counters.paid == 70
    flt = load_filter_text(FILTER, "demo.yaml")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert {one["id"] for one in rows} == {f"a{number}" for number in range(60)}
    for one in rows:
        assert one["scores"] == true_scores(render_prompt(flt, one["title"], one["content"]))


def test_a_storm_leaves_every_article_labelled_or_dead_none_twice_and_spend_is_the_servers_own(run: Callable[..., Ran]) -> None:
    with OpenAIServer(latency=0.004, storm=STORM, seed=3) as server:
        ran = run(server, 300, "--concurrency", "48", seconds=1.5)
        counted = server.counters
        assert all(counted.faults[fault] > 5 for fault in STORM), counted.faults
        assert ran.code == 0, ran.err
        assert ran.out["labeled"] + ran.out["dead"] == 300
        assert ran.out["labeled"] >= 295
        assert ran.out["tokens"] == [counted.input_tokens, counted.cached_tokens, counted.output_tokens]
        assert ran.out["usd"] == pytest.approx(bill(server), abs=1e-6)
        assert ran.out["calls"] == counted.calls
        assert ran.out["limited"] == counted.faults["429"]
        assert counted.paid == 300 + counted.faults["malformed"] - ran.out["dead"]


def test_the_bill_never_passes_the_budget_and_a_larger_one_goes_on(run: Callable[..., Ran]) -> None:
    with OpenAIServer(latency=0.002) as server:
        whole = 200 * 2.8e-5
        for budget in (0.2 * whole, 0.5 * whole):
            ran = run(server, 200, "--budget", f"{budget:.6f}", "--concurrency", "16")
            assert ran.code == 1
            assert "larger --budget" in ran.err
            assert bill(server) <= budget
            assert bill(server) > 0.6 * budget, "most of it is used"
            assert ran.out["usd_total"] == pytest.approx(bill(server), abs=1e-6)
        ran = run(server, 200, "--budget", "1")
        assert (ran.code, ran.out["labeled"], server.counters.paid) == (0, 200, 200)


def test_a_budget_without_a_price_and_amounts_that_are_none_are_refused(run: Callable[..., Ran], tmp_path: Path) -> None:
    with OpenAIServer() as server:
        ran = run(server, 5, "--budget", "1", "--set", "oracle.model=unheard-of")
        assert ran.code == 2
        assert "no price is known for unheard-of" in ran.err
        assert run(server, 5, "--budget", "-1").code == run(server, 5, "--budget", "nan").code == 2
        (tmp_path / "prices.yaml").write_text("date: 2026-01-01\nmodels: {unheard-of: {input: 1, output: 2}}\n")
        ran = run(server, 5, "--budget", "1", "--set", "oracle.model=unheard-of", "--prices", str(tmp_path / "prices.yaml"))
        assert ran.code == 0
        counted = server.counters
        assert ran.out["usd"] == pytest.approx((counted.input_tokens + 2 * counted.output_tokens) / 1e6, abs=1e-6)
        (tmp_path / "prices.yaml").write_text("models: {m: {input: dear}}\n")
        assert run(server, 5, "--prices", str(tmp_path / "prices.yaml")).code == 2


def test_labels_without_a_price_say_that_no_money_is_counted(run: Callable[..., Ran]) -> None:
    with OpenAIServer() as server:
        ran = run(server, 5, "--set", "oracle.model=unheard-of")
    assert (ran.code, ran.out["usd"]) == (0, 0)
    assert "no money is counted" in ran.err


@pytest.mark.parametrize("fault", ["402", "quota", "403-billing"])
def test_no_credit_stops_at_once_keeps_everything_and_goes_on(run: Callable[..., Ran], fault: str) -> None:
    with OpenAIServer(latency=0.002, fault=lambda article, asked: fault if server.counters.paid >= 30 else "") as server:
        ran = run(server, 100, "--concurrency", "4")
        assert ran.code == 1
        assert "no more credit" in ran.err
        assert "start again with the same command" in ran.err
        assert ran.out["labeled"] == server.counters.paid
        assert ran.out["hint"] == ran.out["mend"]
        assert "start again with the same command" in ran.out["hint"]
        assert server.counters.calls <= 30 + 2 * 4 + 4
        paid = server.counters.paid
    with OpenAIServer() as server:
        ran = run(server, 100)
        assert (ran.code, ran.out["cached"], server.counters.paid) == (0, paid, 100 - paid)


@pytest.mark.parametrize("fault", ["malformed", "500", "400-filter", "empty", "garbage"])
def test_nothing_but_failures_stops_soon(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr("distillery.components.labeling.engine.PAUSE", 0.002)
    monkeypatch.setattr("distillery.components.labeling.engine.LONGEST_PAUSE", 0.01)
    with OpenAIServer(latency=0.002, fault=lambda article, asked: fault) as server:
        ran = run(server, 200, "--concurrency", "8")
        assert ran.code == 1
        assert "20 calls in a row failed" in ran.err
        assert server.counters.calls <= 20 + 3 * 8


def test_a_key_that_is_refused_is_bad_input(run: Callable[..., Ran]) -> None:
    with OpenAIServer(key="sk-other") as server:
        ran = run(server, 50)
    assert ran.code == 2
    assert "refuses the key" in ran.err
    assert "sk-test" not in ran.err


def test_dead_letters_keep_raw_replies_and_are_asked_again_only_when_told(run: Callable[..., Ran], tmp_path: Path) -> None:
    flt = load_filter_text(FILTER, "demo.yaml")
    bad = {article_key(render_prompt(flt, str(row(n)["title"]), str(row(n)["content"]))) for n in (3, 20, 37)}
    with OpenAIServer(fault=lambda article, asked: "malformed" if article in bad and asked < 3 else "") as server:
        ran = run(server, 40)
        assert (ran.code, ran.out["labeled"], ran.out["dead"], server.counters.paid) == (0, 37, 3, 37 + 9)
        (dead,) = (tmp_path / "store").glob("labelsets/*/dead.jsonl")
        for letter in map(json.loads, dead.read_text().splitlines()):
            assert [len(attempt["reply"]) > 10 for attempt in letter["attempts"]] == [True] * 3
        ran = run(server, 41)
        assert (ran.out["dead"], server.counters.paid) == (3, 47), "a failure that is known is not paid for again"
        ran = run(server, 41, "--retry-dead")
        assert (ran.code, ran.out["labeled"], ran.out["dead"], ran.out["calls"]) == (0, 41, 0, 3)
        assert ran.out["usd_total"] == pytest.approx(bill(server), abs=1e-6)


def test_retry_after_is_honoured(run: Callable[..., Ran]) -> None:
    import time

    with OpenAIServer(script=["429-after"]) as server:
        began = time.monotonic()
        ran = run(server, 1)
    assert time.monotonic() - began >= 2
    assert (ran.code, ran.out["calls"], ran.out["limited"], ran.out["dead"]) == (0, 2, 1, 0)


def test_calls_a_minute_are_held_to(run: Callable[..., Ran]) -> None:
    import time

    with OpenAIServer() as server:
        began = time.monotonic()
        ran = run(server, 12, "--set", "oracle.requestsPerMinute=600")
    assert ran.code == 0
    assert time.monotonic() - began >= 11 * 0.1


def test_a_quote_asks_nothing_and_is_near_the_bill(run: Callable[..., Ran]) -> None:
    with OpenAIServer() as server:
        ran = run(server, 150, "--quote")
        assert ran.code == 0
        assert server.counters.calls == 0
        routes = {route["name"]: route for route in ran.out["routes"]}
        assert ran.out["open"] == 150
        assert "cache takes" in routes["online, cached prefix"]["unavailable"]
        assert "no batch route" in routes["batch"]["unavailable"]
        assert ran.out["recommended"] == "online"
        assert routes["batch"]["usd"] == pytest.approx(routes["online"]["usd"] / 2)
        run(server, 50)
        calibrated = run(server, 150, "--quote")
        assert (calibrated.out["labeled"], calibrated.out["open"], calibrated.out["calibrated"]) == (50, 100, 50)
        before = server.counters.input_tokens, server.counters.output_tokens
        run(server, 150)
        tokens = (server.counters.input_tokens - before[0]) / 100, (server.counters.output_tokens - before[1]) / 100
        assert calibrated.out["prefix_tokens"] + calibrated.out["article_tokens"] == pytest.approx(tokens[0], rel=0.05)
        assert calibrated.out["output_tokens"] == pytest.approx(tokens[1], rel=0.1)


def test_a_bad_place_for_the_labels_is_found_before_anything_is_paid(run: Callable[..., Ran], tmp_path: Path) -> None:
    with OpenAIServer() as server:
        assert run(server, 5, "--out", str(tmp_path / "no" / "labels.jsonl")).code == 2
        assert server.counters.calls == 0


def test_the_articles_of_these_tests_give_no_orders() -> None:
    from distillery.components.articles.articles import Article

    assert not orders(Article("a", str(row(1)["title"]), str(row(1)["content"])))
