"""Resolves what `compare` is given: adapters, runs, filters and versions of filters, found as `describe` finds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from distillery.components.artifacts.adapter import find_summary, is_digest
from distillery.components.artifacts.benchmark import read_benchmark
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.benchmarking.predict import about_bundle
from distillery.components.comparing.promoted import Promoted
from distillery.components.comparing.sides import Side, read_side
from distillery.components.store import Store
from distillery.components.store.layout import run_record_key
from distillery.filters.errors import InputError, one_line
from distillery.pipelines.inventory.adapters import adapter_rows
from distillery.pipelines.inventory.channels import Found, read_channels
from distillery.pipelines.inventory.kinds import describe_thing, list_things
from distillery.pipelines.inventory.reading import Reader, Row, text

VERSION: Final = re.compile(r"([a-z][a-z0-9-]*)/v([0-9]{1,7})")
HINT: Final = "name an adapter by its digest, a run, a filter, or FILTER/vN; see `distillery get adapters` and `get runs`"


def find_side(store: Store, named: str) -> Side:
    """Return the side of a comparison that a user means.

    Args:
        store: where it is; it is only read.
        named: the digest of an adapter, or the name of a run, or the beginning of either; a filter's name for what is promoted
            of it; or FILTER/vN for what is promoted, else the newest that was judged, of that version.

    Returns:
        The side.

    Raises:
        InputError: nothing, or more than one, is meant; or nothing was predicted for its test part.
    """
    if is_digest(named) and not named.isdigit():  # a run begins with its date
        return read_side(store, named, find_summary(store, named))
    if match := VERSION.fullmatch(named):
        return _of_filter(store, named, match[1], int(match[2]))
    runs = [row for row in list_things(store, "runs") if row["name"].startswith(named)] if named else []
    if runs:
        row = describe_thing(store, "runs", named)
        return read_side(store, f"run {row['name']}", _summary(store, row))
    return _of_filter(store, named, named, None)


def promoted_adapters(store: Store, filter: str = "") -> list[Promoted]:
    """Return what serves on each channel, with the figures of its benchmark.

    Args:
        store: where it is; it is only read.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        A row for each channel that points at an adapter, by filter and channel. What can't be read has an error.
    """
    rows = {row["name"]: row for row in adapter_rows(store, filter)}
    serving = [found for found in read_channels(store, filter) if found.error or (found.document and found.document.adapter)]
    return [_promoted(store, found, rows) for found in serving]


def _promoted(store: Store, found: Found, rows: Mapping[str, Row]) -> Promoted:
    adapter = (found.document.adapter if found.document else None) or ""
    row, reader = rows.get(adapter), Reader()
    base = reader.read(lambda: about_bundle(store, found.filter, adapter).student.base.ref) if adapter else None
    summary = reader.read(lambda: find_summary(store, adapter)) if adapter else None
    outputs = summary.outputs if summary else {}
    named = [text(outputs.get(name)) for name in ("test", "benchmark")]
    benchmark = reader.read(lambda: read_benchmark(store, adapter, *map(str, named))) if all(named) else None
    error = found.error or reader.error
    known = Promoted(
        filter=found.filter,
        version=row["version"] if row else None,
        channel=found.channel,
        adapter=adapter,
        base=base,
        error=one_line(f"{error['where']}: {error['what']}") if error else None,
    )
    return known.judged(benchmark) if benchmark else known


def _of_filter(store: Store, named: str, name: str, version: int | None) -> Side:
    """Return the adapter of a filter, or of a version of it, that serves; of a version, else the newest that was judged."""
    rows = [row for row in adapter_rows(store, name) if version in (None, row["version"])] if name else []
    found = [row for row in rows if row["state"] == "promoted"] or [
        row for row in rows if version is not None and row["mae"] is not None
    ][:1]
    if len(found) != 1:
        names = ", ".join(row["name"][:12] for row in found)
        what = f"{len(found)} adapters are meant by {named[:80]!r}: {names}" if found else f"nothing is named {named[:80]!r}"
        raise InputError(what, where=store.uri, hint=HINT)
    digest = found[0]["name"]
    return read_side(store, f"{named} ({digest[:12]})", find_summary(store, digest))


def _summary(store: Store, row: Row) -> RunSummary:
    """Return a run as one document, from the records that its steps left."""
    records = [StepRecord.load(store, run_record_key(row["name"], step)) for step in row["steps"]]
    return RunSummary(run=row["name"], steps=records)
