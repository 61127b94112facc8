"""What a channel points at, for whoever reads it; `distillery.components.promotion` alone moves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distillery.components.store import Store, StoreError, as_digest, parse_json
from distillery.components.store.layout import channel_key

MAX_POINTER = 16 * 2**20


@dataclass(frozen=True)
class Entry:
    """verdict: digest of what allowed it. filter: key of the published filter. at: UTC time, for people."""

    adapter: str
    verdict: str
    filter: str
    action: Literal["promote", "rollback"]
    at: str


@dataclass(frozen=True)
class Pointer:
    """history: newest first; its first entry is the current one. etag: of the version read."""

    adapter: str
    verdict: str
    filter: str
    history: list[Entry]
    etag: str


def current(store: Store, name: str, channel: str) -> Pointer | None:
    """What the channel points at; None where nothing was promoted yet. StoreError where the pointer isn't readable."""
    key = channel_key(name, channel)
    found = store.current(key, max_bytes=MAX_POINTER)
    if found is None:
        return None
    where = f"{store.uri}/{key}"
    document = parse_json(found[0], where)
    try:
        entries = [
            Entry(as_digest(e["adapter"]), as_digest(e["verdict"]), str(e["filter"]), e["action"], str(e["at"]))
            for e in document["history"]
        ]
        now = document["current"]
        if (now["adapter"], now["verdict"], now["filter"]) != (entries[0].adapter, entries[0].verdict, entries[0].filter):
            raise ValueError("its current entry is not the newest of its history")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"is not a channel: {error}", where=where, hint="restore it from a copy") from error
    return Pointer(now["adapter"], now["verdict"], now["filter"], entries, found[1])
