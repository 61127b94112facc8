"""An adapter that is in the store is found by its digest: after a kill before the report, by any maker, with any listing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.components.artifacts.adapter import Subject, find_adapter, find_summary
from distillery.components.artifacts.channel import LoneCandidate
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import NO_RUN, RunSummary, put_summary, remember_adapter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import Store, open_store
from distillery.components.store.layout import adapters_beginning_key, candidate_key, summary_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter
from tests.artifacts.test_adapter import NAME, ONE, THREE, TWO, promote


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose listings are of a time before anything was written."""
    opened = open_store(str(tmp_path / "store"))

    def nothing(prefix: str = "") -> Iterator[str]:
        return iter(())

    monkeypatch.setattr(opened, "keys", nothing)
    return opened


@pytest.fixture
def flt() -> Filter:
    return load_filter(NAME)


def record(step: str, of: str, **outputs: str) -> StepRecord:
    return StepRecord.of(step, {"adapter": of}, outputs, [])


@pytest.mark.parametrize("digits", [8, 12, 64])
def test_what_was_made_and_never_reported_is_found_whatever_a_listing_says(store: Store, flt: Filter, digits: int) -> None:
    key = publish_filter(store, flt)
    for adapter in (ONE, THREE):
        remember_adapter(store, key, adapter, record("train", adapter, adapter=adapter))
    assert find_adapter(store, ONE[:digits]) == Subject(flt, ONE)
    assert find_summary(store, THREE[:digits]).adapter == THREE


def test_a_report_finds_what_judged_it(store: Store, flt: Filter) -> None:
    key = publish_filter(store, flt)
    remember_adapter(store, key, ONE, record("train", ONE, adapter=ONE))
    remember_adapter(store, key, ONE, record("benchmark", ONE, test="1" * 64, benchmark="2" * 64))
    remember_adapter(store, key, ONE, record("gate", ONE, verdict="3" * 64))
    outputs = find_summary(store, ONE).outputs
    assert (outputs["benchmark"], outputs["verdict"], outputs["filter_key"]) == ("2" * 64, "3" * 64, key)


def test_a_runs_own_summary_stays(store: Store, flt: Filter) -> None:
    key = publish_filter(store, flt)
    remember_adapter(store, key, ONE)
    steps = [record("preflight", ONE, filter_key=key), record("train", ONE, adapter=ONE)]
    put_summary(store, RunSummary(run="run-7", steps=steps), name=None)
    remember_adapter(store, key, ONE, record("gate", ONE, verdict="3" * 64))
    assert find_summary(store, ONE[:8]).run == "run-7"


def test_a_torn_summary_is_written_anew(store: Store, flt: Filter) -> None:
    store.put(summary_key(ONE), b'{"run": "x"')
    remember_adapter(store, publish_filter(store, flt), ONE)
    assert find_summary(store, ONE).run == NO_RUN


@pytest.mark.parametrize("torn", [b"", b'{"adapters": ["', b"[]", b'{"adapters": ["x"]}', b'{"format": 9}'])
def test_a_torn_list_hides_no_adapter_and_stops_nobody(store: Store, flt: Filter, torn: bytes) -> None:
    key = publish_filter(store, flt)
    store.put(adapters_beginning_key(ONE[:8]), torn)
    with pytest.raises(InputError, match=f"no adapter in this store begins with {ONE[:8]}"):
        find_adapter(store, ONE[:8])
    remember_adapter(store, key, ONE)
    assert find_adapter(store, ONE[:8]) == Subject(flt, ONE)


@pytest.mark.parametrize("digits", [8, 64])
def test_in_a_store_made_earlier_what_serves_or_waits_is_found(tmp_path: Path, flt: Filter, digits: int) -> None:
    store = open_store(str(tmp_path / "store"))
    key = publish_filter(store, flt)
    promote(store, THREE, key)
    LoneCandidate(adapter=TWO, verdict="f" * 64, filter=key).put(store, candidate_key(NAME, "production"))
    assert find_adapter(store, THREE[:digits]) == Subject(flt, THREE)
    assert find_adapter(store, TWO[:digits]) == Subject(flt, TWO)
