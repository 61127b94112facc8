"""The channels of a store: what each points at, what waits, whether it is pinned."""

from __future__ import annotations

from typing import NamedTuple

from distillery.components.artifacts.channel import Channel, read_channel
from distillery.components.promotion.history import figures, told
from distillery.components.store import Store
from distillery.components.store.layout import CANDIDATE, CHANNELS
from distillery.pipelines.inventory.reading import Reader, Row, each, moment


class Found(NamedTuple):
    """A channel of a store.

    Attributes:
        filter: name of the filter.
        channel: name of the channel.
        document: None where it can't be read.
        error: why it can't be read; None where it can.
        modified: when it was changed last, in seconds since 1970.
    """

    filter: str
    channel: str
    document: Channel | None
    error: dict[str, str] | None
    modified: float


def read_channels(store: Store, filter: str = "") -> list[Found]:
    """Return the channels of a store.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        The channels, by filter and name; one that can't be read is among them.
    """
    times: dict[tuple[str, str], float] = {}
    for entry in store.entries(CHANNELS):
        _, name, *rest = entry.key.split("/")
        if len(rest) != 1 or not rest[0].endswith(".json") or filter not in ("", name):
            continue
        # What the first layout kept beside a channel that may not be there itself.
        channel = rest[0].removesuffix(CANDIDATE).removesuffix(".json")
        times[name, channel] = max(entry.modified, times.get((name, channel), 0.0))

    def found(key: tuple[str, str]) -> Found:
        reader = Reader()
        document = reader.read(lambda: read_channel(store, *key, lenient=True).channel)
        return Found(*key, document, reader.error, times[key])

    return each(sorted(times), found)


def channel_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each channel.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows by filter and channel.
    """

    def row(found: Found) -> Row:
        document, name = found.document, found.filter
        now = document.current if document else None
        newest = document.history[0] if document and document.history else None
        shown = figures(store, name, now) if now else {"version": None, "mae": None, "rules": None}
        return {
            "name": f"{name}/{found.channel}",
            "filter": name,
            "channel": found.channel,
            "adapter": now.adapter if now else None,
            **shown,
            "pin": document.pin.to_json() if document and document.pin else None,
            "candidates": [candidate.adapter for candidate in document.candidates] if document else [],
            "blocked": [block.adapter for block in document.blocked] if document else [],
            "by": newest.by if newest else "",
            "reason": newest.reason if newest else "",
            "modified": moment(found.modified),
            "error": found.error,
        }

    return each(read_channels(store, filter), row)


def channel_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of a channel beside its row.

    Args:
        store: the store.
        row: of the channel.

    Returns:
        Pin, blocks, candidates and history, each with its figures.
    """
    document = read_channel(store, row["filter"], row["channel"], lenient=True).channel
    return told(store, row["filter"], document)
