"""Move a channel, which says which adapter serves and what served before; it is changed by conditional put only.

The pointer and its history are one object, so a reader always sees a whole state and a killed writer leaves the old one
or the new one. Nothing is deleted: rolling back adds an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from distillery.components.artifacts.channel import MAX_POINTER, Channel, Entry, Pointer, current, serving
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
    """Point a channel at an adapter, if the channel is still as it was read.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        before: the version read; None where there was none.
        entry: the move.

    Returns:
        What the channel holds afterwards.

    Raises:
        InputError: another process pointed the channel at another adapter meanwhile.
        StoreError: the store did not keep what was written.
    """
    history = [entry, *(before.history if before else [])]
    document = Channel(current=serving(entry), history=history)
    try:
        store.put_if(channel_key(name, channel), document.to_bytes(), etag=before.etag if before else None)
    except Conflict as error:
        after = current(store, name, channel)
        # The reply to our write may have been lost, and another's move have followed: then ours stands below it.
        stands = after is not None and entry in after.history and entry not in (before.history if before else [])
        if after is None or not (stands or after.adapter == entry.adapter):
            raise changed(name, channel, after) from error
        return after
    after = current(store, name, channel)
    if after is None or entry not in after.history:
        raise StoreError("did not keep what was written", where=f"{store.uri}/{channel_key(name, channel)}", hint=AGAIN)
    return after


def changed(name: str, channel: str, now: Pointer | None) -> InputError:
    """Return the error that says what another process made of a channel.

    Args:
        name: of the filter.
        channel: name of the channel.
        now: what it points at; None for nothing.

    Returns:
        The error, to be raised.
    """
    found = f"it points at {now.adapter[:12]} now" if now else "it points at nothing now"
    return InputError(f"another process changed the channel meanwhile: {found}", where=f"{name}/{channel}", hint=AGAIN)


def history(store: Store, name: str, channel: str) -> list[Entry]:
    """Return what a channel pointed at, newest first.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.

    Returns:
        The moves; none where nothing was promoted yet.

    Raises:
        StoreError: the channel cannot be read.
    """
    pointer = current(store, name, channel)
    return pointer.history if pointer else []


def rollback(store: Store, name: str, channel: str, to: str | None = None, *, verify: Verify | None = None) -> Pointer:
    """Point a channel back at an earlier adapter, whose stored bytes are verified first.

    A second rollback goes further back, not forth again.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        to: digest of the adapter, or its first eight or more digits; None for the adapter before this one.
        verify: reads the stored bundle back; None for `reproduce`.

    Returns:
        What the channel holds afterwards.

    Raises:
        InputError: the channel never held that adapter, or its bundle is not what it was.
    """
    where = f"{name}/{channel}"
    before = current(store, name, channel)
    if before is None:
        raise InputError("nothing was promoted yet, so there is nothing to go back to", where=where)
    target = _earlier(before, to, where)
    if target.adapter == before.adapter:
        return before
    (verify or reproduce)(store, name, Digest(target.adapter))
    return move(store, name, channel, before, target.model_copy(update={"action": "rollback", "at": utc_now()}))


def _earlier(pointer: Pointer, to: str | None, where: str) -> Entry:
    """Return the move that a rollback goes back to: the one that is asked for, or the one before the present one."""
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
    """Read the stored bundle back and score its golden texts.

    Args:
        store: where the bundle is.
        name: of the filter.
        adapter: digest of the adapter.

    Returns:
        The largest difference to the recorded scores, in points; at most 0.001.

    Raises:
        InputError: a byte, a file, a key or a shape is other than it should be, or the scores are not reproduced.
    """
    from distillery.components.student.bundle import check_golden, open_bundle

    return check_golden(open_bundle(store, name, adapter))


def utc_now() -> str:
    """Return the time in UTC, to the second.

    Returns:
        Text as in "2026-01-31T12:00:00Z".
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
