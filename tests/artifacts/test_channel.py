"""Channels and candidates as documents: older ones, torn bytes, unknown keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import (
    Block,
    Candidate,
    Channel,
    Entry,
    LoneCandidate,
    Pin,
    current,
    read_channel,
    serving,
)
from distillery.components.artifacts.document import Document
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import candidate_key, channel_key

NEWEST = Entry(adapter="b" * 64, verdict="2" * 64, filter="filters/f/v1/y.yaml", action="rollback", at="2026-01-02T00:00:00Z")
OLDEST = Entry(adapter="a" * 64, verdict="1" * 64, filter="filters/f/v1/x.yaml", action="promote", at="2026-01-01T00:00:00Z")
CHANNEL = Channel(current=serving(NEWEST), history=[NEWEST, OLDEST])
CANDIDATE = LoneCandidate(adapter="c" * 64, verdict="3" * 64, filter="filters/f/v1/x.yaml")
WAITING = Candidate(adapter="c" * 64, verdict="3" * 64, filter="filters/f/v1/x.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.mark.parametrize("document", [CHANNEL, CANDIDATE], ids=["channel", "candidate"])
def test_round_trip_torn_bytes_unknown_keys_and_no_version(document: Document) -> None:
    form, fields = type(document), document.to_json()
    assert form.read(document.to_bytes(), "x") == document
    older = {name: value for name, value in fields.items() if name != "format"}
    assert form.read(json.dumps(older).encode(), "x") == document
    assert form.read(json.dumps({**older, "format": 1}).encode(), "x") == document
    for bad in (
        document.to_bytes()[:-4],
        json.dumps({**fields, "more": 1}).encode(),
        json.dumps({**fields, "format": form.FORMAT + 1}).encode(),
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
    assert read_channel(store, "f", "production").etag == store.etag(channel_key("f", "production"))


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
    assert read_channel(store, "f", "production").channel.candidates == []
    CANDIDATE.put(store, candidate_key("f", "production"))
    assert read_channel(store, "f", "production").channel.candidates == [WAITING]
    store.put(candidate_key("f", "production"), b"{")
    with pytest.raises(StoreError, match=r"production.candidate.json: is not JSON.*it holds the candidate anew"):
        read_channel(store, "f", "production")
    assert read_channel(store, "f", "production", lenient=True).channel.candidates == []


def test_a_candidate_of_the_first_layout_waits_until_it_was_promoted_or_taken_along(store: Store) -> None:
    CHANNEL.put(store, channel_key("f", "production"))
    CANDIDATE.put(store, candidate_key("f", "production"))
    assert read_channel(store, "f", "production").channel == CHANNEL.with_candidate(WAITING)
    CANDIDATE.model_copy(update={"adapter": OLDEST.adapter}).put(store, candidate_key("f", "production"))
    assert read_channel(store, "f", "production").channel == CHANNEL  # promoted, and rolled back from since
    CANDIDATE.put(store, candidate_key("f", "production"))
    CHANNEL.model_copy(update={"revision": 1}).put(store, channel_key("f", "production"))
    assert read_channel(store, "f", "production").channel.candidates == []


def test_a_channel_of_the_first_format_says_what_it_said(store: Store) -> None:
    older = {"format": 1, "current": serving(NEWEST).to_json(), "history": [NEWEST.to_json(), OLDEST.to_json()]}
    assert "by" not in older["history"][0]
    store.put(channel_key("f", "production"), json.dumps(older).encode())
    channel = read_channel(store, "f", "production").channel
    assert (channel, channel.pin, channel.blocked, channel.revision) == (CHANNEL, None, [], 0)
    assert [entry.to_json() for entry in channel.history] == older["history"]


def test_pin_blocks_and_candidates_are_read_as_strictly(store: Store) -> None:
    pin = Pin(by="ada", at="2026-01-03T00:00:00Z", reason="it sells")
    block = Block(adapter="d" * 64, **pin.to_json())
    full = CHANNEL.model_copy(update={"pin": pin, "blocked": [block], "candidates": [WAITING], "revision": 4})
    full.put(store, channel_key("f", "production"))
    assert read_channel(store, "f", "production").channel == full
    for part, wrong in (("pin", {"by": 1}), ("blocked", [{"adapter": "../x"}]), ("candidates", [{"adapter": "x"}])):
        store.put(channel_key("f", "production"), json.dumps({**full.to_json(), part: wrong}).encode())
        with pytest.raises(StoreError, match=f"is not a channel: {part}"):
            current(store, "f", "production")
