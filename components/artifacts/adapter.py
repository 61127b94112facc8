"""Resolve which adapter scores: the one that a filter's channel points at, or the one that a digest names."""

from __future__ import annotations

from typing import NamedTuple

from distillery.components.artifacts.channel import current
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.run_summary import read_adapter_summary
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


class Subject(NamedTuple):
    """An adapter, by digest, and the filter it judges for."""

    filter: Filter
    adapter: str


def promoted(store: Store, flt: Filter) -> Subject:
    """Return the filter's promoted adapter, under the filter as it is now.

    Raises:
        InputError: nothing is promoted on the filter's channel.
    """
    pointer = current(store, flt.name, flt.spec.promotion.channel)
    if pointer is None:
        raise InputError(
            f"nothing is promoted on channel {flt.spec.promotion.channel} of {flt.name} in this store",
            hint=f"run `distillery distill {flt.name} …` first, or give an adapter's digest",
        )
    return Subject(flt, pointer.adapter)


def served(store: Store, name: str, channel: str) -> Subject:
    """Return what a channel points at, with the filter that it was promoted for.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.

    Raises:
        InputError: nothing is promoted there.
    """
    pointer = current(store, name, channel)
    if pointer is None:
        hint = "give the name of a filter that was promoted, or an adapter's digest"
        raise InputError(f"nothing is promoted on channel {channel} of {name[:80]}", where="adapter", hint=hint)
    return Subject(read_filter(store, pointer.filter), pointer.adapter)


def trained(store: Store, adapter: str) -> Subject:
    """Return the adapter of this digest, with the filter of the run that made it.

    Args:
        store: where the run left its summary.
        adapter: digest of the adapter, all 64 digits.

    Raises:
        InputError: no run of this store made it.
    """
    summary = read_adapter_summary(store, adapter)
    if summary is None or summary.filter_key is None:
        raise InputError(f"no run of this store made {adapter[:12]}", where="adapter", hint="see `distillery history`")
    return Subject(read_filter(store, summary.filter_key), adapter)
