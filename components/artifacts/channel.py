"""Channels: which adapter serves, what served before, who is waited for, and what must not be promoted.

All of it is one object, changed by one conditional put, so that an approval, a rollback and a run that come at once leave one
history, whichever is first. Anybody may read a channel; only `distillery.components.promotion` changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import Store, StoreError, not_read
from distillery.components.store.layout import candidate_key, channel_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.gates import Promotion

MAX_POINTER = 16 * 2**20
MAX_WORDS = 500

Words = Annotated[str, Field(max_length=MAX_WORDS)]


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
    """One move of a channel, or the end of its pin.

    Attributes:
        action: how it came to point there; "unpin" leaves it where it pointed.
        at: UTC time, for people.
        by: the person, or "run …"; "" where it was not kept.
        reason: why, in that person's words; "" where none was given.
    """

    OMITTED = ("by", "reason")  # an entry of the first form stays as it was

    action: Literal["promote", "rollback", "unpin"]
    at: str
    by: Words = ""
    reason: Words = ""


class Pin(Document):
    """A person's word that nothing is to be promoted by itself: who, when (UTC) and why."""

    by: Words
    at: str
    reason: Words = ""


class Block(Pin):
    """A person's word that an adapter is not to be promoted, until it is promoted by name.

    Attributes:
        adapter: digest of the adapter.
        refused: True where it was a candidate and was refused; False where the channel was rolled back from it.
    """

    OMITTED = ("refused",)

    adapter: Sha256
    refused: bool = False


class Candidate(Serving):
    """An adapter that passed its gates and waits for a person.

    Attributes:
        run: name of the run that judged it, which has its report; "" where it was not kept.
        at: UTC time, for people; "" where it was not kept.
    """

    run: str = ""
    at: str = ""


OfAdapter = TypeVar("OfAdapter", Block, Candidate)


class LoneCandidate(Serving):
    """A candidate as the first layout kept it: one object a channel, beside it, the last one held."""

    KIND = "a candidate"
    HINT = "run `distillery distill` again: it holds the candidate anew"

    format: Literal[1] = 1


class Channel(Document):
    """A channel as it is stored.

    Attributes:
        revision: how often it was changed; 0 for one of format 1, which kept no candidates, pin or blocks.
        current: what it points at now; None before the first promotion.
        history: every move, newest first; the first says what is current.
        pin: None where runs may promote.
        blocked: adapters that it was rolled back from, and candidates that were refused.
        candidates: what waits for a person, newest first; one an adapter.
    """

    KIND = "a channel"
    HINT = "restore it from a copy"
    FORMAT = 2
    READS = (1,)

    format: Literal[2] = 2
    revision: int = 0
    current: Serving | None
    history: list[Entry]
    pin: Pin | None = None
    blocked: list[Block] = Field(default_factory=list)
    candidates: list[Candidate] = Field(default_factory=list)

    @model_validator(mode="after")
    def _current_is_newest(self) -> Channel:
        newest = serving(self.history[0]) if self.history else None
        if self.current != newest:
            raise PydanticCustomError("inconsistent", "its current entry is not the newest of its history")
        return self

    @property
    def adapter(self) -> str | None:
        """Return the digest of the adapter that serves; None where none does."""
        return self.current.adapter if self.current else None

    @property
    def pointer(self) -> Pointer | None:
        """Return what it points at, with the history; None before the first promotion."""
        now = self.current
        return Pointer(now.adapter, now.verdict, now.filter, self.history) if now else None

    def block_of(self, adapter: str) -> Block | None:
        """Return why an adapter must not be promoted.

        Args:
            adapter: digest of the adapter.

        Returns:
            The block; None where there is none.
        """
        return next((block for block in self.blocked if block.adapter == adapter), None)

    def with_candidate(self, candidate: Candidate) -> Channel:
        """Return the channel with one more candidate; an earlier one of the same adapter gives way, others stay.

        Args:
            candidate: the adapter that waits.

        Returns:
            The channel.
        """
        return self.model_copy(update={"candidates": [candidate, *without(self.candidates, candidate.adapter)]})

    def moved(self, entry: Entry) -> Channel:
        """Return the channel after a move, which consumes the adapter's candidate and lifts its block.

        Args:
            entry: the move.

        Returns:
            The channel.
        """
        return self.model_copy(
            update={
                "current": serving(entry),
                "history": [entry, *self.history],
                "candidates": without(self.candidates, entry.adapter),
                "blocked": without(self.blocked, entry.adapter),
            }
        )


def without(rows: Sequence[OfAdapter], adapter: str) -> list[OfAdapter]:
    """Return the rows that are not of an adapter.

    Args:
        rows: candidates or blocks.
        adapter: digest of the adapter.

    Returns:
        The others, in their order.
    """
    return [row for row in rows if row.adapter != adapter]


class Version(NamedTuple):
    """One version of a channel. etag: what a conditional put compares; None where the channel is not stored yet."""

    channel: Channel
    etag: str | None


@dataclass(frozen=True)
class Pointer:
    """What a channel points at, with its history.

    Attributes:
        adapter: digest of the adapter that serves.
        verdict: digest of the verdict that allowed it.
        filter: key of the published filter.
        history: every move, newest first; the first is the current one.
    """

    adapter: str
    verdict: str
    filter: str
    history: list[Entry]


def serving(entry: Entry) -> Serving:
    """Return what a channel points at after a move.

    Args:
        entry: the move.

    Returns:
        Adapter, verdict and filter of the move, without how and when it was made.
    """
    return Serving(adapter=entry.adapter, verdict=entry.verdict, filter=entry.filter)


def on_channel(flt: Filter, channel: str, *, where: str = "--channel") -> Filter:
    """Return a filter with another channel.

    Args:
        flt: the filter.
        channel: name of the channel; empty for the filter's own.
        where: the option that names it, for the error.

    Returns:
        The filter, otherwise as it was.

    Raises:
        InputError: no channel can have this name.
    """
    if not channel:
        return flt
    try:
        promotion = Promotion(**{**flt.spec.promotion.model_dump(), "channel": channel})
    except ValidationError:
        hint = "use small letters, digits and hyphens"
        raise InputError("is not the name of a channel", where=f"{where} {channel[:80]}", hint=hint) from None
    return flt.model_copy(update={"spec": flt.spec.model_copy(update={"promotion": promotion})})


def current(store: Store, name: str, channel: str) -> Pointer | None:
    """Return what a channel points at.

    Args:
        store: where it is.
        name: of the filter.
        channel: name of the channel.

    Returns:
        Adapter, verdict, filter and history; None where nothing was promoted yet.

    Raises:
        StoreError: the channel cannot be read.
    """
    return _stored(store, name, channel).channel.pointer


def read_channel(store: Store, name: str, channel: str, *, lenient: bool = False) -> Version:
    """Return a channel with its candidates; one that the first layout kept beside it is among them.

    Args:
        store: where it is.
        name: of the filter.
        channel: name of the channel.
        lenient: leave a candidate beside it out that is torn: nobody can approve it, and a rollback must not fail for it.

    Returns:
        The version read; an empty channel where there is none yet.

    Raises:
        StoreError: the channel or the candidate beside it cannot be read.
    """
    document, etag = _stored(store, name, channel)
    if document.revision:  # whoever wrote that took the candidate beside it along
        return Version(document, etag)
    try:
        beside = LoneCandidate.versioned(store, candidate_key(name, channel), max_bytes=MAX_POINTER)
    except StoreError as error:
        if not lenient or not_read(error):
            raise
        beside = None
    # One that was promoted waits no longer, also where the channel was rolled back from it since.
    if beside and all(entry.adapter != beside[0].adapter for entry in document.history):
        lone = beside[0]
        document = document.with_candidate(Candidate(adapter=lone.adapter, verdict=lone.verdict, filter=lone.filter))
    return Version(document, etag)


def _stored(store: Store, name: str, channel: str) -> Version:
    version = Channel.versioned(store, channel_key(name, channel), max_bytes=MAX_POINTER)
    return Version(*version) if version else Version(Channel(current=None, history=[]), None)
