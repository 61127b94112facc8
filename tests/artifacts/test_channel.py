"""Channels and candidates as documents: older ones, torn bytes, unknown keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import Candidate, Channel, Entry, current, read_candidate, serving
from distillery.components.artifacts.document import Document
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import candidate_key, channel_key

NEWEST = Entry(adapter="b" * 64, verdict="2" * 64, filter="filters/f/v1/y.yaml", action="rollback", at="2026-01-02T00:00:00Z")
OLDEST = Entry(adapter="a" * 64, verdict="1" * 64, filter="filters/f/v1/x.yaml", action="promote", at="2026-01-01T00:00:00Z")
CHANNEL = Channel(current=serving(NEWEST), history=[NEWEST, OLDEST])
CANDIDATE = Candidate(adapter="a" * 64, verdict="1" * 64, filter="filters/f/v1/x.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize("document", [CHANNEL, CANDIDATE], ids=["channel", "candidate"])
def test_round_trip_torn_bytes_unknown_keys_and_no_version(document: Document) -> None:
    form, fields = type(document), document.to_json()
    assert form.read(document.to_bytes(), "x") == document
    older = {name: value for name, value in fields.items() if name != "format"}
    assert form.read(json.dumps(older).encode(), "x") == document
    for bad in (
        document.to_bytes()[:-4],
        json.dumps({**fields, "more": 1}).encode(),
        json.dumps({**fields, "format": 2}).encode(),
    ):
        with pytest.raises(StoreError) as error:
            form.read(bad, "file:///s/x.json")
        assert str(error.value).startswith("file:///s/x.json: is ")
        assert "\n" not in str(error.value)


def test_the_pointer_is_the_stored_channel(store: Store) -> None:
    assert current(store, "f", "production") is None
    CHANNEL.put(store, channel_key("f", "production"))
    pointer = current(store, "f", "production")
    assert pointer is not None
    assert (pointer.adapter, pointer.verdict, pointer.filter) == (NEWEST.adapter, NEWEST.verdict, NEWEST.filter)
    assert pointer.history == [NEWEST, OLDEST]
    assert pointer.etag == store.etag(channel_key("f", "production"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"history": []}, "is not a channel: its current entry is not the newest of its history"),
        ({"current": serving(OLDEST).to_json()}, "is not a channel: its current entry is not the newest of its history"),
        (
            {"history": [{**NEWEST.to_json(), "action": "sell"}]},
            "is not a channel: history.0.action: Input should be 'promote'",
        ),
        ({"history": [{**NEWEST.to_json(), "adapter": "../x"}]}, "is not a channel: history.0.adapter: String should match"),
    ],
)
def test_a_channel_that_contradicts_itself_is_refused(store: Store, change: dict[str, Any], what: str) -> None:
    store.put(channel_key("f", "production"), json.dumps({**CHANNEL.to_json(), **change}).encode())
    with pytest.raises(StoreError) as error:
        current(store, "f", "production")
    assert what in str(error.value)
    assert str(error.value).endswith("; restore it from a copy")


def test_a_candidate_that_cannot_be_read_says_how_to_hold_it_anew(store: Store) -> None:
    assert read_candidate(store, "f", "production") is None
    CANDIDATE.put(store, candidate_key("f", "production"))
    assert read_candidate(store, "f", "production") == CANDIDATE
    store.put(candidate_key("f", "production"), b"{")
    with pytest.raises(StoreError, match=r"production.candidate.json: is not JSON.*it holds the candidate anew"):
        read_candidate(store, "f", "production")
