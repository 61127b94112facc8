"""The kinds of things in a store, by the name that `distillery get` has for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.pipelines.inventory import adapters, channels, filters, jobs, oracles, runs
from distillery.pipelines.inventory.reading import Row

Kind = Literal["filters", "runs", "adapters", "channels", "calibrations", "samples", "jobs"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SHOWN = 5  # names in the answer to one that is not unique


class _Source(NamedTuple):
    """What reads a kind: rows of a store, or of one of its filters; and what `describe` adds to one of them."""

    rows: Callable[[Store, str], list[Row]]
    details: Callable[[Store, Row], Row]


def kind_of(text: str) -> Kind:
    """Return the kind that a user means.

    Args:
        text: a kind, or one thing of it: adapters, adapter.

    Returns:
        The kind.

    Raises:
        InputError: there is no such kind.
    """
    for kind in KINDS:
        if text in (kind, kind.removesuffix("s")):
            return kind
    raise InputError(f"there is no kind {text[:80]!r}", where="KIND", hint=f"one of {', '.join(KINDS)}")


def _none(store: Store, row: Row) -> Row:
    return {}


_SOURCES: Final[dict[Kind, _Source]] = {
    "filters": _Source(filters.filter_rows, _none),
    "runs": _Source(runs.run_rows, runs.run_details),
    "adapters": _Source(adapters.adapter_rows, adapters.adapter_details),
    "channels": _Source(channels.channel_rows, channels.channel_details),
    "calibrations": _Source(oracles.calibration_rows, oracles.calibration_details),
    "samples": _Source(oracles.sample_rows, oracles.sample_details),
    "jobs": _Source(jobs.job_rows, jobs.job_details),
}


def list_things(store: Store, kind: Kind, filter: str = "") -> list[Row]:
    """Return a row for each thing of a kind.

    Args:
        store: the store, which is only read.
        kind: what to list.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        The rows. What can't be read has a row with an "error".

    Raises:
        StoreError: the store can't be listed, or is away.
    """
    return _SOURCES[kind].rows(store, filter)


def describe_thing(store: Store, kind: Kind, name: str) -> Row:
    """Return one thing with all that is known of it.

    Args:
        store: the store, which is only read.
        kind: its kind.
        name: its name or the beginning of it; the name of its filter where that has one thing of the kind alone.

    Returns:
        Its row, with more fields.

    Raises:
        InputError: no thing, or more than one, is meant.
        StoreError: the store is away.
    """
    rows = list_things(store, kind)
    exact = [row for row in rows if row["name"] == name]
    # Twelve digits name a calibration's rubric in a table; whoever has the whole digest may give that.
    begin = [row for row in rows if name and (row["name"].startswith(name) or str(row.get("rubric", "")).startswith(name))]
    found = exact or begin or [row for row in rows if row.get("filter") == name]
    if len(found) != 1:
        singular = kind.removesuffix("s")
        names = ", ".join(short_name(row) for row in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
        what = f"{len(found)} {kind} are meant by {name[:80]!r}: {names}" if found else f"no {singular} {name[:80]!r}"
        hint = "write more of its name" if found else f"see `distillery get {kind}`"
        raise InputError(what, where=store.uri, hint=hint)
    row = found[0]
    return {**row, **_SOURCES[kind].details(store, row)}


def short_name(row: Row) -> str:
    """Return the name of a row as a table shows it.

    Args:
        row: of any kind.

    Returns:
        Its name, a digest by its first 12 digits.
    """
    name = str(row["name"])
    return name[:12] if len(name) == 64 else name
