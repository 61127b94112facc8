"""A channel: which adapter serves, and what served before; changed by conditional put only.

The pointer and its history are one object, so a reader always sees a whole state and a killed writer leaves the old one
or the new one. Nothing is deleted: rolling back adds an entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from distillery.components.artifacts.channel import MAX_POINTER, Entry, Pointer, current
from distillery.components.artifacts.verdict import AGAIN
from distillery.components.store import Conflict, Digest, Store, StoreError
from distillery.components.store.layout import channel_key
from distillery.filters.errors import InputError

__all__ = [
    "MAX_POINTER",
    "Entry",
    "Pointer",
    "Verify",
    "changed",
    "current",
    "history",
    "move",
    "reproduce",
    "rollback",
    "utc_now",
]

Verify = Callable[[Store, str, Digest], object]


def move(store: Store, name: str, channel: str, before: Pointer | None, entry: Entry) -> Pointer:
    """Points the channel at `entry`, if it still is as `before` says; returns what it then holds.

    InputError where another process changed the channel meanwhile to another adapter; the same adapter is no quarrel.
    """
    history = [entry, *(before.history if before else [])]
    now = {"adapter": entry.adapter, "verdict": entry.verdict, "filter": entry.filter}
    document = {"format": 1, "current": now, "history": [asdict(each) for each in history]}
    try:
        store.put_if(
            channel_key(name, channel),
            json.dumps(document, sort_keys=True, indent=1).encode(),
            etag=before.etag if before else None,
        )
    except Conflict as error:
        after = current(store, name, channel)
        if after is None or after.adapter != entry.adapter:
            raise changed(name, channel, after) from error
        return after
    after = current(store, name, channel)
    if after is None or entry not in after.history:
        raise StoreError("did not keep what was written", where=f"{store.uri}/{channel_key(name, channel)}", hint=AGAIN)
    return after


def changed(name: str, channel: str, now: Pointer | None) -> InputError:
    found = f"it points at {now.adapter[:12]} now" if now else "it points at nothing now"
    return InputError(f"another process changed the channel meanwhile: {found}", where=f"{name}/{channel}", hint=AGAIN)


def history(store: Store, name: str, channel: str) -> list[dict[str, Any]]:
    """What the channel pointed at, newest first: {"adapter", "verdict", "filter", "action", "at"}."""
    found = current(store, name, channel)
    return [asdict(entry) for entry in found.history] if found else []


def rollback(store: Store, name: str, channel: str, to: str | None = None, *, verify: Verify | None = None) -> Pointer:
    """Points the channel back at an earlier adapter, whose stored bytes are verified first.

    to: its digest, or eight or more of the first digits; default: the adapter before this one. A second rollback goes
    further back, not forth again. InputError where the channel never held it.
    """
    where = f"{name}/{channel}"
    before = current(store, name, channel)
    if before is None:
        raise InputError("nothing was promoted yet, so there is nothing to go back to", where=where)
    target = _earlier(before, to, where)
    if target.adapter == before.adapter:
        return before
    (verify or reproduce)(store, name, Digest(target.adapter))
    return move(store, name, channel, before, Entry(target.adapter, target.verdict, target.filter, "rollback", utc_now()))


def _earlier(pointer: Pointer, to: str | None, where: str) -> Entry:
    if to is not None:
        found = [entry for entry in pointer.history if entry.adapter.startswith(to)] if len(to) >= 8 else []
        if len({entry.adapter for entry in found}) != 1:
            raise InputError(
                f"{to[:64]!r} is not one adapter that this channel held", where=where, hint="take one from `distillery history`"
            )
        return found[0]
    standing: list[Entry] = []  # what each rollback returned to lies under it no more
    for entry in reversed(pointer.history):
        adapters = [each.adapter for each in standing]
        if entry.action == "rollback" and entry.adapter in adapters:
            del standing[adapters.index(entry.adapter) + 1 :]
        elif not standing or standing[-1].adapter != entry.adapter:
            standing.append(entry)
    if len(standing) < 2:
        raise InputError(
            f"there is no adapter before {pointer.adapter[:12]}",
            where=where,
            hint="name one with --to, see `distillery history`",
        )
    return standing[-2]


def reproduce(store: Store, name: str, adapter: Digest) -> float:
    """Reads the stored bundle back and scores its golden texts; the largest difference in points, at most 0.001.

    InputError where a byte, a file, a key or a shape is other than it should be, or the scores aren't reproduced.
    """
    from distillery.components.student.bundle import check_golden, open_bundle

    return check_golden(open_bundle(store, name, adapter))


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
