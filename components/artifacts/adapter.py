"""Resolves which adapter is meant: the one that a filter's channel points at, or the one that a digest names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from distillery.components.artifacts.adapter_index import adapters_beginning
from distillery.components.artifacts.channel import Channel, LoneCandidate, Serving, current, on_channel
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import RunSummary, made_outside, read_adapter_summary, read_last_summary
from distillery.components.store import Store
from distillery.components.store.layout import CANDIDATE, CHANNELS, SUMMARIES
from distillery.filters.columns import map_overrides
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter, load_filter, load_filter_text
from distillery.filters.mapping import read_mapping

DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
WHOLE: Final = 64  # hexadecimal digits of a digest


class Subject(NamedTuple):
    """An adapter, by digest, and the filter it judges for."""

    filter: Filter
    adapter: str

    def renamed(self, columns: Sequence[str], mapping: str = "") -> Subject:
        """Return the same adapter for files whose columns have other names, or whose scores have other scales.

        Args:
            columns: each "column=name", as --map has them; they take precedence over what the filter says of its own files.
            mapping: a mapping file for labels; empty for none.

        Returns:
            The adapter, with the filter that reads these columns.

        Raises:
            InputError: a column is named twice, or its name is none of ours; or the mapping file is at fault.
        """
        if not columns and not mapping:
            return self
        bare, document = dump_filter(self.filter.with_columns({})), read_mapping(mapping) if mapping else None
        given = load_filter_text(bare, self.filter.name, overrides=map_overrides(columns), mapping=document)
        kept = {name: ours for name, ours in self.filter.columns.items() if ours not in given.columns.values()}
        return Subject(given.with_columns({**kept, **given.columns}), self.adapter)


def find_adapter(store: Store, text: str, *, channel: str = "", here: bool = False) -> Subject:
    """Return the adapter that a user means.

    Args:
        store: Where adapters are.
        text: An adapter's digest, or its first 8 or more digits; else a filter: its name, or the path of a filter.yaml.
        channel: Name of the channel of a filter that is known by name alone, and is taken as it was when it was promoted; empty
            for the filter as it is here, and the channel that it names.
        here: True for the filter as it is here also where a channel is named.

    Returns:
        The adapter, with its filter.

    Raises:
        InputError: No adapter, or more than one, is meant; there is no such filter, or nothing is promoted on its channel.
    """
    if not text:
        raise InputError("is empty", hint="give a filter's name, or an adapter's digest", parameter="adapter")
    if is_digest(text):
        summary = find_summary(store, text)
        return Subject(read_filter(store, filter_key_of(summary)), str(summary.adapter))
    return _served(store, text, channel) if channel and not here else _promoted(store, text, channel)


def find_run(store: Store, text: str, *, channel: str = "") -> RunSummary:
    """Return the run that a user means.

    Args:
        store: Where runs left their summaries.
        text: An adapter's digest, for the last run that made or reused it; else a filter, for its last run.
        channel: Name of a channel of the filter, for the run of what serves there; empty for the last run.

    Returns:
        The run's summary.

    Raises:
        InputError: There is no such adapter or filter, it had no run in this store, or nothing is promoted on the channel.
    """
    if channel:
        return find_summary(store, find_adapter(store, text, channel=channel, here=True).adapter)
    if is_digest(text):
        return find_summary(store, text)
    flt = load_filter(text)
    if (last := read_last_summary(store, flt.name)) is None:
        hint = f"run `distillery distill {text} …` first"
        raise InputError(f"no run of {flt.name} in this store", where=store.uri, hint=hint)
    return last


def is_digest(text: str) -> bool:
    """True if `text` reads as a digest or as the beginning of one.

    Args:
        text: What a user gave.

    Returns:
        Whether it is 8 to 64 hexadecimal digits.
    """
    return DIGEST.fullmatch(text) is not None


def find_summary(store: Store, digest: str) -> RunSummary:
    """Return the summary of the last run that made or reused an adapter.

    Args:
        store: Where runs left their summaries.
        digest: The adapter's, or its first 8 or more digits.

    Returns:
        The summary, which has the adapter's whole digest.

    Raises:
        InputError: No adapter, or more than one, begins so.
    """
    if len(digest) == WHOLE and (summary := read_adapter_summary(store, digest)):
        return summary
    adapters = {digest} if len(digest) == WHOLE else {*adapters_beginning(store, digest), *_listed(store, digest)}
    found = [summary for adapter in sorted(adapters) if (summary := read_adapter_summary(store, adapter))]
    found = found or _served_before(store, digest)
    if len(found) != 1:
        count = f"{len(found)} adapters" if found else "no adapter"
        what, hint = f"{count} in this store begins with {digest} ({store.uri})", "see `distillery history FILTER`"
        raise InputError(what, hint=hint, parameter="adapter")
    return found[0]


def _listed(store: Store, digits: str) -> list[str]:
    """Return the adapters of this beginning that have a summary, going by a listing: for stores made earlier."""
    names = (key.removeprefix(f"{SUMMARIES}/").removesuffix(".json") for key in store.keys(SUMMARIES))
    return [name for name in names if name.startswith(digits)]


def _served_before(store: Store, digits: str) -> list[RunSummary]:
    """Return what channels and candidates say of adapters that no run summed up, in stores made earlier."""
    filters = dict[str, str]()
    for key in store.keys(CHANNELS):
        if key.endswith(CANDIDATE):
            entries: Sequence[Serving] = [LoneCandidate.load(store, key)]
        else:
            document = Channel.load(store, key)
            entries = [*document.history, *document.candidates]
        filters |= {entry.adapter: entry.filter for entry in reversed(entries) if entry.adapter.startswith(digits)}
    return [made_outside(filter_key, adapter) for adapter, filter_key in sorted(filters.items())]


def filter_key_of(summary: RunSummary) -> str:
    """Return the key of a run's published filter.

    Args:
        summary: A run.

    Returns:
        A key of the store.

    Raises:
        InputError: The run stopped before its filter was read.
    """
    if summary.filter_key is None:
        raise InputError("stopped before its filter was read", where=f"run {summary.run}", hint="distill again")
    return summary.filter_key


def _promoted(store: Store, ref: str, channel: str) -> Subject:
    """Return what a channel of the filter points at, or the channel that it names, under the filter as it is now."""
    flt = load_filter(ref)
    channel = on_channel(flt, channel).spec.promotion.channel
    pointer = current(store, flt.name, channel)
    if pointer is None:
        what = f"nothing is promoted on channel {channel} of {flt.name} in this store ({store.uri})"
        hint = f"run `distillery distill {ref} …` first, or give an adapter's digest"
        raise InputError(what, hint=hint)
    return Subject(flt, pointer.adapter)


def _served(store: Store, name: str, channel: str) -> Subject:
    """Return what a channel points at, with the filter that it was promoted for."""
    pointer = current(store, name, channel)
    if pointer is None:
        hint = "give the name of a filter that was promoted, or an adapter's digest"
        what = f"nothing is promoted on channel {channel} of {name[:80]} in this store ({store.uri})"
        raise InputError(what, hint=hint, parameter="adapter")
    return Subject(read_filter(store, pointer.filter), pointer.adapter)
