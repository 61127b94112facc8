"""Which adapter scores: the one a filter's channel points at, or the one a digest names."""

from __future__ import annotations

from typing import NamedTuple

from distillery.components.artifacts.channel import current
from distillery.components.artifacts.filter import read_filter
from distillery.components.store import NotFound, Store, as_digest
from distillery.components.store.layout import summary_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


class Subject(NamedTuple):
    filter: Filter
    adapter: str


def promoted(store: Store, flt: Filter) -> Subject:
    """The filter's promoted adapter under the filter as it is now. InputError where there is none."""
    found = current(store, flt.name, flt.spec.promotion.channel)
    if found is None:
        raise InputError(
            f"nothing is promoted on channel {flt.spec.promotion.channel} of {flt.name} in this store",
            hint=f"run `distillery distill {flt.name} …` first, or give an adapter's digest",
        )
    return Subject(flt, found.adapter)


def served(store: Store, name: str, channel: str) -> Subject:
    """What channel `channel` of the filter called `name` points at, with the filter it was promoted for."""
    found = current(store, name, channel)
    if found is None:
        hint = "give the name of a filter that was promoted, or an adapter's digest"
        raise InputError(f"nothing is promoted on channel {channel} of {name[:80]}", where="adapter", hint=hint)
    return Subject(read_filter(store, found.filter), found.adapter)


def trained(store: Store, adapter: str) -> Subject:
    """The adapter of this digest, with the filter of the run that made it."""
    try:
        summary = store.get_json(summary_key(as_digest(adapter, "adapter")))
    except NotFound:
        raise InputError(
            f"no run of this store made {adapter[:12]}", where="adapter", hint="see `distillery history`"
        ) from None
    return Subject(read_filter(store, summary["filter_key"]), summary["adapter"])
