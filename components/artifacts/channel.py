"""Channels: which adapter serves, what served before, and the candidate that waits for a person's approval.

Anybody may read a channel; only `distillery.components.promotion` moves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import NotFound, Store
from distillery.components.store.layout import candidate_key, channel_key

MAX_POINTER = 16 * 2**20


class Serving(Document):
    """What a channel points at.

    Attributes:
        adapter: digest of the adapter that serves.
        verdict: digest of the verdict that allowed it.
        filter: key of the published filter.
    """

    adapter: Sha256
    verdict: Sha256
    filter: str


class Entry(Serving):
    """One move of a channel.

    Attributes:
        action: how it came to point there.
        at: UTC time, for people.
    """

    action: Literal["promote", "rollback"]
    at: str


class Channel(Document):
    """A channel as it is stored.

    Attributes:
        current: what it points at now.
        history: every move, newest first; the first is the current one.
    """

    KIND = "a channel"
    HINT = "restore it from a copy"

    format: Literal[1] = 1
    current: Serving
    history: list[Entry]

    @model_validator(mode="after")
    def _current_is_newest(self) -> Channel:
        newest = self.history[0] if self.history else None
        if newest is None or self.current != serving(newest):
            raise PydanticCustomError("inconsistent", "its current entry is not the newest of its history")
        return self


class Candidate(Serving):
    """An adapter that passed its gates and waits for a person's approval; the last one held is the candidate."""

    KIND = "a candidate"
    HINT = "run `distillery distill` again: it holds the candidate anew"

    format: Literal[1] = 1


@dataclass(frozen=True)
class Pointer:
    """One version of a channel.

    Attributes:
        adapter: digest of the adapter that serves.
        verdict: digest of the verdict that allowed it.
        filter: key of the published filter.
        history: every move, newest first; the first is the current one.
        etag: of the version read, for a conditional put.
    """

    adapter: str
    verdict: str
    filter: str
    history: list[Entry]
    etag: str


def serving(entry: Entry) -> Serving:
    """Return what a channel points at after a move.

    Args:
        entry: the move.

    Returns:
        Adapter, verdict and filter of the move, without how and when it was made.
    """
    return Serving(adapter=entry.adapter, verdict=entry.verdict, filter=entry.filter)


def current(store: Store, name: str, channel: str) -> Pointer | None:
    """Return what a channel points at.

    Args:
        store: where it is.
        name: of the filter.
        channel: name of the channel.

    Returns:
        The version read; None where nothing was promoted yet.

    Raises:
        StoreError: the channel cannot be read.
    """
    key = channel_key(name, channel)
    version = Channel.versioned(store, key, max_bytes=MAX_POINTER)
    if version is None:
        return None
    document, etag = version
    now = document.current
    return Pointer(now.adapter, now.verdict, now.filter, document.history, etag)


def read_candidate(store: Store, name: str, channel: str) -> Candidate | None:
    """Return the candidate that waits for approval; None where none does.

    Args:
        store: where it is.
        name: of the filter.
        channel: name of the channel it would serve on.

    Returns:
        The candidate, or None.

    Raises:
        StoreError: the candidate cannot be read.
    """
    try:
        return Candidate.load(store, candidate_key(name, channel))
    except NotFound:
        return None
