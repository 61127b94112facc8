"""Which adapter scores: the one a filter's channel points at, or the one a digest names."""

from __future__ import annotations

from typing import NamedTuple

from components.channels import current
from components.step import read_filter
from components.store import NotFound, Store, as_digest
from filters.errors import InputError
from filters.spec import Filter


class Subject(NamedTuple):
    filter: Filter
    adapter: str


def promoted(store: Store, flt: Filter) -> Subject:
    """The filter's promoted adapter under the filter as it is now. InputError where there is none."""
    found = current(store, flt.name, flt.spec.promotion.channel)
    if found is None:
        raise InputError(
            f"nothing is promoted on channel {flt.spec.promotion.channel} of {flt.name} in this store",
            mend=f"run `distillery distill {flt.name} …` first, or give an adapter's digest",
        )
    return Subject(flt, found.adapter)


def served(store: Store, name: str, channel: str) -> Subject:
    """What channel `channel` of the filter called `name` points at, with the filter it was promoted for."""
    found = current(store, name, channel)
    if found is None:
        mend = "give the name of a filter that was promoted, or an adapter's digest"
        raise InputError(f"nothing is promoted on channel {channel} of {name[:80]}", where="adapter", mend=mend)
    return Subject(read_filter(store, found.filter), found.adapter)


def trained(store: Store, adapter: str) -> Subject:
    """The adapter of this digest, with the filter of the run that made it."""
    try:
        summary = store.get_json(f"summaries/{as_digest(adapter, 'adapter')}.json")
    except NotFound:
        raise InputError(
            f"no run of this store made {adapter[:12]}", where="adapter", mend="see `distillery history`"
        ) from None
    return Subject(read_filter(store, summary["filter_key"]), summary["adapter"])
