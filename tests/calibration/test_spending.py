"""Before labels: what calibration and noise cost is said, asked about in a terminal, and held to the budget."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator

import pytest

from distillery.components.calibration.calibrate import calibrate
from distillery.components.calibration.noise import measure
from distillery.components.store import Store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.pipelines.cli.spending import agree
from tests.calibration.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer

PRICE = "price: {input: 1, output: 2}"


def paid(oracle: str = f"provider: openai, model: house-llm, {PRICE}", url: str = "http://127.0.0.1:9") -> Filter:
    where = f"{oracle}, baseUrl: '{url}', maxOutputTokens: 64"
    return load_filter_text(FILTER.replace("model: recorded", where), "demo.yaml")


def billed(server: OpenAIServer) -> float:
    counted = server.counters
    return (counted.input_tokens + 2 * counted.output_tokens) / 1e6


SPENDERS: dict[str, Callable[[Store, Filter, str, float | None], object]] = {
    "calibrate": lambda store, flt, articles, budget: calibrate(store, flt, articles=articles, n=20, budget=budget),
    "noise": lambda store, flt, articles, budget: measure(store, flt, articles=articles, n=20, repeat=3, budget=budget),
}


@pytest.mark.parametrize("spender", SPENDERS)
def test_the_budget_holds_over_all_labels_and_a_larger_one_goes_on(spender: str, store: Store, corpus: str) -> None:
    with OpenAIServer() as server:
        flt, work = paid(url=server.url), SPENDERS[spender]
        for budget in (0.002, 0.005):
            with pytest.raises(Stopped, match="of the budget"):
                work(store, flt, corpus, budget)
            assert 0 < billed(server) <= budget
        work(store, flt, corpus, None)
        paid_labels = server.counters.paid
        assert paid_labels == (40 if spender == "calibrate" else 60)
        work(store, flt, corpus, None)
        assert server.counters.paid == paid_labels


@pytest.mark.parametrize("spender", SPENDERS)
def test_a_budget_without_a_price_asks_nothing(spender: str, store: Store, corpus: str) -> None:
    with OpenAIServer() as server, pytest.raises(InputError, match="no price is known for house-llm"):
        SPENDERS[spender](store, paid("provider: openai, model: house-llm", server.url), corpus, 1.0)
    assert server.counters.calls == 0


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a service that is there, and is not to be asked."""
    with OpenAIServer() as server:
        yield server.url
        assert server.counters.calls == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "yes", "goes_on"),
    [("y\n", False, True), ("YES\n", False, True), ("n\n", False, False), ("\n", False, False), ("", False, False),
     ("", True, True)],
)  # fmt: skip
def test_a_terminal_is_asked_before_anything_is_paid(
    answer: str, yes: bool, goes_on: bool, store: Store, corpus: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown)
    if goes_on:
        agree(store, corpus, [(paid(url=url), 120)], budget=None, yes=yes)
    else:
        with pytest.raises(Stopped, match="nothing was spent"):
            agree(store, corpus, [(paid(url=url), 120)], budget=None, yes=yes)
    assert "house-llm: at most 120 labels, about $0.0" in shown.getvalue()
    assert ("Go on?" in shown.getvalue()) is not yes


def test_without_a_terminal_or_a_bill_nothing_is_asked(
    store: Store, corpus: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    agree(store, corpus, [(paid(url=url), 120), (paid("provider: openai, model: other", url), 50)], budget=None, yes=False)
    said = capsys.readouterr().err
    assert "Go on?" not in said
    assert "other: at most 50 labels, no price is known" in said
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    agree(store, corpus, [(load_filter_text(FILTER, "demo.yaml"), 120)], budget=1.0, yes=False)
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="no price is known for other"):
        agree(store, corpus, [(paid("provider: openai, model: other"), 50)], budget=1.0, yes=True)
    for amount in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="not an amount of dollars"):
            agree(store, corpus, [(paid(), 1)], budget=amount, yes=True)


def test_a_key_that_is_missing_or_a_service_that_is_away_is_told_before_anybody_is_asked(
    store: Store, corpus: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_KEY: is not set"):
        agree(
            store,
            corpus,
            [(paid(f"provider: openai, model: m, apiKeyEnv: NO_SUCH_KEY, {PRICE}", url), 5)],
            budget=None,
            yes=False,
        )
    with pytest.raises(Stopped, match="can't be reached"):
        agree(store, corpus, [(paid(url=url), 5), (paid(), 5)], budget=None, yes=True)
    assert shown.getvalue() == ""
    agree(store, corpus, [(paid(), 5)], budget=None, yes=True, here=False)
    assert "at most 5 labels" in shown.getvalue()
