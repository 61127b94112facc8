"""One resolver for every command and step that asks which adapter is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distillery.components.artifacts.adapter import Subject, find_adapter, find_summary, is_digest
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import RunSummary, put_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Store, open_store
from distillery.components.store.layout import channel_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter

ONE, TWO, THREE = "ab" * 32, "ab" * 31 + "cd", "12" * 32
NAME = "uplifting"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def flt() -> Filter:
    return load_filter(NAME)


def made(store: Store, adapter: str, filter_key: str | None) -> None:
    outputs = {"adapter": adapter, **({"filter_key": filter_key} if filter_key else {})}
    put_summary(store, RunSummary(run="run-1", steps=[StepRecord.of("train", {}, outputs, [])]), name=None)


def promote(store: Store, adapter: str, filter_key: str, channel: str = "production") -> None:
    entry = {"adapter": adapter, "verdict": "f" * 64, "filter": filter_key}
    history = [{**entry, "action": "promote", "at": "2025-01-01T00:00:00Z"}]
    store.put(channel_key(NAME, channel), json.dumps({"current": entry, "history": history}).encode())


@pytest.mark.parametrize(
    ("text", "expected"), [("ab" * 4, True), (ONE, True), ("ab" * 3, False), (NAME, False), ("AB" * 8, False)]
)
def test_what_reads_as_a_digest(text: str, expected: bool) -> None:
    assert is_digest(text) is expected


def test_a_digest_or_its_beginning_is_that_adapter_with_the_filter_of_its_run(store: Store, flt: Filter) -> None:
    key = publish_filter(store, flt)
    made(store, ONE, key)
    made(store, THREE, key)
    assert find_adapter(store, ONE) == find_adapter(store, ONE[:8]) == Subject(flt, ONE)
    assert find_adapter(store, THREE[:12], channel="production").adapter == THREE
    assert find_summary(store, THREE[:8]).adapter == THREE


@pytest.mark.parametrize(("text", "says"), [(ONE[:8], "2 adapters"), ("0" * 8, "no adapter"), ("0" * 64, "no adapter")])
def test_a_digest_that_names_none_or_two_is_refused(store: Store, text: str, says: str) -> None:
    for adapter in (ONE, TWO):
        made(store, adapter, "filters/x")
    with pytest.raises(InputError, match=f"^{says} in this store begins with"):
        find_adapter(store, text)


def test_an_adapter_whose_run_has_no_filter_is_refused(store: Store) -> None:
    made(store, ONE, None)
    with pytest.raises(InputError, match="stopped before its filter was read"):
        find_adapter(store, ONE)


def test_a_filter_is_what_its_channel_points_at(store: Store, flt: Filter) -> None:
    """A command takes the filter as it is here, a step the one that was promoted."""
    earlier = load_filter(NAME, overrides=["training.epochs=7"])
    key = publish_filter(store, earlier)
    promote(store, ONE, key)
    promote(store, TWO, key, channel="staging")
    assert find_adapter(store, NAME) == Subject(flt, ONE)
    assert find_adapter(store, NAME, channel="production") == Subject(earlier, ONE)
    assert find_adapter(store, NAME, channel="staging") == Subject(earlier, TWO)


def test_nothing_promoted_says_what_to_do(store: Store) -> None:
    with pytest.raises(
        InputError, match=f"nothing is promoted on channel production of {NAME} .*`distillery distill {NAME} …` first"
    ):
        find_adapter(store, NAME)
    for text, channel, says in (
        ("", "", "adapter: is empty"),
        ("nobodys", "live", "adapter: nothing is promoted on channel live"),
    ):
        with pytest.raises(InputError) as refused:
            find_adapter(store, text, channel=channel)
        assert refused.value.for_form().startswith(says)
