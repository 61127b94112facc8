"""What a model costs: the user's file goes before the filter's own price, and that before the list price."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.artifacts.filter import publish_filter, read_filter
from distillery.components.labeling.label import label_inputs
from distillery.components.labeling.oracles.base import oracle_identity
from distillery.components.labeling.oracles.prices import as_override, price_of, read_prices
from distillery.components.preflight.request import RunRequest
from distillery.components.store import Digest, open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.pipelines.cli.spending import load, priced
from tests.labeling.conftest import FILTER

OWN = "price: {input: 7, output: 8, cached: 0.7, batch: 0.5}"


def flt(oracle: str, *overrides: str) -> Filter:
    return load_filter_text(FILTER.replace("model: recorded", oracle), "demo.yaml", overrides=overrides)


def cost(filter: Filter, path: str = "") -> tuple[float, float] | None:
    found = price_of(filter, read_prices(path))
    return (found[0].input, found[0].output) if found else None


@pytest.fixture
def prices(tmp_path: Path) -> str:
    path = tmp_path / "prices.yaml"
    path.write_text("date: 2026-01-01\nmodels: {gpt-4o: {input: 1, output: 2}, house-llm: {input: 3, output: 4}}\n")
    return str(path)


@pytest.mark.parametrize(
    ("oracle", "without", "with_file"),
    [
        ("provider: openai, model: gpt-4o", (2.5, 10), (1, 2)),
        (f"provider: openai, model: gpt-4o, {OWN}", (7, 8), (1, 2)),
        (f"provider: openai, model: gpt-4o-2024-08-06, {OWN}", (7, 8), (1, 2)),
        ("provider: openai, model: house-llm", None, (3, 4)),
        (f"provider: openai, model: house-llm, {OWN}", (7, 8), (3, 4)),
        (f"provider: openai, model: gpt-4o-mini, {OWN}", (7, 8), (7, 8)),
        ("provider: openai, model: gpt-4o-mini", (0.15, 0.6), (0.15, 0.6)),
        (f"provider: replay, model: gpt-4o, {OWN}", (0, 0), (0, 0)),
    ],
)
def test_the_users_file_goes_before_the_filter_and_the_filter_before_the_list(
    oracle: str, without: tuple[float, float] | None, with_file: tuple[float, float], prices: str
) -> None:
    assert cost(flt(oracle)) == without
    assert cost(flt(oracle), prices) == with_file
    assert cost(flt(oracle, *as_override(flt(oracle), read_prices(prices)))) == with_file, "as a setting of a run"


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-4o-mini-2024-07-18", (0.15, 0.6)),
        ("openai/gpt-4o-2024-11-20", (2.5, 10)),
        ("gemini-2.5-flash-preview-05-20", (0.3, 2.5)),
        ("gemini-2.5-flash-lite-preview-09-2025", (0.1, 0.4)),
        ("gemini-2.5-pro@001", (1.25, 10)),
        ("gpt-4o-2024-05-13", (5, 15)),
        ("azure/gpt-4o-2024-05-13", (5, 15)),
        ("gemini-2.5-flash-preview-tts", None),
        ("gpt-4o-2024-08-06-mini", None),
        ("ft:gpt-4o-2024-08-06:house::1", None),
        ("gpt-5-preview-search", None),
    ],
)
def test_a_version_has_its_models_price_unless_it_is_listed_and_another_model_has_none(
    model: str, found: tuple[float, float] | None
) -> None:
    assert cost(flt(f"provider: openai, model: '{model}'")) == found


def test_a_price_that_stands_beside_one_model_is_not_anothers() -> None:
    oracle = f"provider: openai, model: house-llm, {OWN}"
    assert flt(oracle, "oracle.model=other").spec.oracle.price is None
    assert flt(oracle, "oracle.model=house-llm", "oracle.temperature=1").spec.oracle.price is not None
    for given in (("oracle.price={input: 1, output: 2}", "oracle.model=other"), ("oracle.model=other", "oracle.price.input=1")):
        price = flt(oracle, *given).spec.oracle.price
        assert price is not None
        assert price.input == 1


def test_no_digest_depends_on_the_price(tmp_path: Path) -> None:
    plain, own = flt("provider: openai, model: m"), flt(f"provider: openai, model: m, {OWN}")
    assert oracle_identity(plain) == oracle_identity(own)
    data = Digest("0" * 64)
    assert label_inputs(plain, data, None) == label_inputs(own, data, None)
    store = open_store(str(tmp_path / "store"))
    assert "price" not in store.get(publish_filter(store, plain)).decode()
    assert read_filter(store, publish_filter(store, own)) == own, "a run's filter carries it to every step"


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ("{input: 1}", "output.*is missing"),
        ("{input: -1, output: 2}", "at least 0"),
        ("{input: .nan, output: 2}", "finite number"),
        ("{input: dear, output: 2}", "a number"),
        ("{input: 1, output: 2, batch: 0}", "greater than 0"),
        ("{input: 1, output: 2, batch: 2}", "at most 1"),
        ("{input: 1, output: 2, dollars: 3}", "dollars"),
        ("3", "a mapping"),
    ],
)
def test_a_price_that_is_none_is_refused_with_its_line(price: str, words: str) -> None:
    with pytest.raises(InputError, match=rf"demo\.yaml:\d+: .*{words}"):
        flt(f"provider: openai, model: m, price: {price}")


def test_every_command_takes_the_users_prices_the_same_way(tmp_path: Path, prices: str) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(FILTER.replace("model: recorded", f"provider: openai, model: gpt-4o, {OWN}"), encoding="utf-8")
    request = priced(RunRequest(str(path), overrides=("oracle.temperature=1",)), prices)
    assert request.overrides[0] == "oracle.temperature=1"
    assert json.loads(request.overrides[1].removeprefix("oracle.price=")) == {"input": 1.0, "output": 2.0}
    assert priced(RunRequest(str(path)), "").overrides == ()
    assert cost(load(str(path), [], "", prices)) == (1, 2)
    with pytest.raises(InputError, match="no such file"):
        priced(RunRequest(str(path)), str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize(
    ("text", "says"), [("", "says nothing"), (" \n", "says nothing"), ("m,1,2\n", "the file: Input should be")]
)
def test_a_file_that_holds_no_prices_says_what_one_holds(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "prices.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"prices\.yaml: {says}.*; write models: \{{NAME"):
        read_prices(str(tmp_path / "prices.yaml"))
