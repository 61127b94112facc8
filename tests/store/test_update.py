"""`Store.update` loses no change, and `Store.open` hands out whole objects only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from distillery.components.store import Conflict, NotFound, Store, StoreError
from distillery.components.store import store as module
from distillery.filters.errors import InputError


def test_an_object_is_made_changed_and_left(store: Store) -> None:
    assert store.update("x", lambda data: data) is None
    assert not store.exists("x")
    assert store.update("x", lambda data: b"one" if data is None else b"other") == b"one"
    assert store.update("x", lambda data: (data or b"") + b" two") == b"one two"
    etag = store.etag("x")
    assert store.update("x", lambda _: None) == b"one two"
    assert store.etag("x") == etag


def test_a_change_that_raises_writes_nothing(store: Store) -> None:
    store.put("x", b"one")

    def refused(data: bytes | None) -> bytes:
        raise InputError("holds something else", where=str(data))

    with pytest.raises(InputError, match="holds something else"):
        store.update("x", refused)
    assert store.get("x") == b"one"


def test_no_change_of_many_writers_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 200)
    together = threading.Barrier(4)

    def add(number: int) -> None:
        together.wait(30)
        for _ in range(5):
            store.update("count", lambda data: (data or b"") + b"%d" % number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert sorted(store.get("count")) == sorted(b"0123" * 5)


def test_what_another_wrote_meanwhile_is_changed_in_turn(store: Store) -> None:
    seen: list[bytes | None] = []

    def appended(data: bytes | None) -> bytes:
        seen.append(data)
        if len(seen) == 1:
            store.put("x", b"theirs")
        return (data or b"") + b" ours"

    assert store.update("x", appended) == b"theirs ours"
    assert seen == [None, b"theirs"]


def test_an_object_that_never_holds_still_is_a_conflict(store: Store) -> None:
    writes: Iterator[int] = iter(range(1000))

    def changed(data: bytes | None) -> bytes:
        store.put("x", b"%d" % next(writes))
        return b"ours"

    with pytest.raises(Conflict, match="x changed 20 times while it was being changed here"):
        store.update("x", changed)
    assert next(writes) == 20


def test_an_object_that_is_too_large_is_refused(store: Store) -> None:
    store.put("x", b"12345")
    with pytest.raises(StoreError, match="larger than the 4 bytes"):
        store.update("x", lambda _: b"", max_bytes=4)


def test_a_stream_gives_the_whole_object(store: Store) -> None:
    data = json.dumps(list(range(10_000))).encode()
    store.put("x", data)
    with store.open("x") as stream:
        assert stream.read(10) + stream.read() == data
    with pytest.raises(NotFound), store.open("none"):
        pass
    with pytest.raises(InputError, match="can't be a name in the store"):
        store.open("../x")


def test_a_stream_is_never_of_two_versions(store: Store) -> None:
    """Read as it was opened (a folder), or refused (a bucket); 20 MB are more than what is fetched at once."""
    store.put("x", b"a" * 20_000_000)
    with store.open("x") as stream:
        assert stream.read(10) == b"a" * 10
        store.put("x", b"b" * 30_000_000)
        if store.uri.startswith("s3://"):
            with pytest.raises(StoreError, match="was changed while it was read"):
                stream.read()
        else:
            assert stream.read() == b"a" * 19_999_990
