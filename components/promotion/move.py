"""Change a channel, which says which adapter serves and what served before, by conditional put only.

The pointer, its history, its pin and its candidates are one object, so a reader always sees a whole state and a killed writer
leaves the old one or the new one. Nothing is deleted: rolling back adds an entry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from distillery.components.artifacts.channel import Channel, Entry, read_channel
from distillery.components.artifacts.verdict import AGAIN
from distillery.components.store import Conflict, Digest, Store, StoreError
from distillery.components.store.layout import channel_key
from distillery.filters.errors import InputError
from distillery.filters.spec import Student

Verify = Callable[[Store, str, Digest], object]

ANY: Final = Student(baseModel="any")  # device and precision as they come
ATTEMPTS: Final = 200  # each one lost was another's write, so a hundred writers at once come through
PAUSE: Final = 4.0  # seconds between two attempts, at most


def change(store: Store, name: str, channel: str, work: Callable[[Channel], Channel | None]) -> Channel:
    """Read a channel, change it, and write it if nobody has written it meanwhile; otherwise begin again.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        work: makes the new channel of the present one; returns None to leave it as it is, and raises where what it goes by
            no longer holds. It may be called several times.

    Returns:
        The channel that was written, or the one that was left.

    Raises:
        InputError: what `work` raised, or others wrote the channel in the middle of every attempt.
        StoreError: the channel cannot be read, or the store did not keep what was written.
    """
    key = channel_key(name, channel)
    for attempt in range(ATTEMPTS):
        before, etag = read_channel(store, name, channel, lenient=True)
        after = work(before)
        if after is None:
            return before
        after = after.model_copy(update={"revision": before.revision + 1})
        try:
            store.put_if(key, after.to_bytes(), etag=etag)
        except Conflict:
            time.sleep(random.uniform(0, min(PAUSE, 0.02 * 2**attempt)))
            continue
        if read_channel(store, name, channel).channel.revision < after.revision:
            raise StoreError("did not keep what was written", where=f"{store.uri}/{key}", hint=AGAIN)
        return after
    raise InputError(f"was changed by others {ATTEMPTS} times meanwhile", where=f"{name}/{channel}", hint=AGAIN)


def landed(entry: Entry, before: Channel, now: Channel) -> bool:
    """True if a move is among those that were made since a channel was read.

    A write whose reply was lost, and on which others have built since, looks like a conflict.

    Args:
        entry: the move.
        before: the channel as it was read.
        now: the channel as it is.

    Returns:
        Whether it is there; one of earlier that says the same, to the second, does not count.
    """
    return entry in now.history[: len(now.history) - len(before.history)]


def changed(name: str, channel: str, now: str | None) -> InputError:
    """Return the error that says what another process made of a channel.

    Args:
        name: of the filter.
        channel: name of the channel.
        now: digest of the adapter it points at; None for nothing.

    Returns:
        The error, to be raised.
    """
    found = f"it points at {now[:12]} now" if now else "it points at nothing now"
    return InputError(f"another process changed the channel meanwhile: {found}", where=f"{name}/{channel}", hint=AGAIN)


def reproduce(store: Store, name: str, adapter: Digest, student: Student = ANY) -> float:
    """Read the stored bundle back as its benchmark read it, and score its golden texts.

    Args:
        store: where the bundle is.
        name: of the filter.
        adapter: digest of the adapter.
        student: the filter's student section, which says where it may run and in which precision.

    Returns:
        The largest difference to the recorded scores, in points; at most 0.001 in fp32, 0.05 in another precision.

    Raises:
        InputError: a byte, a file, a key or a shape is other than it should be, or the scores are not reproduced.
    """
    from distillery.components.student.bundle import check_golden, open_bundle
    from distillery.components.student.devices import serving_plan

    return check_golden(open_bundle(store, name, adapter, plan=serving_plan(store, name, adapter, student)))


def utc_now() -> str:
    """Return the time in UTC, to the second.

    Returns:
        Text as in "2026-01-31T12:00:00Z".
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
