"""The filters of a store: what of each serves, what waits, how its last run ended, what its labels have cost."""

from __future__ import annotations

from collections import defaultdict

from distillery.components.artifacts.run_summary import RunSummary, read_last_summary
from distillery.components.store import Store
from distillery.components.store.layout import FILTERS, version_of_filter
from distillery.pipelines.inventory.channels import Found, read_channels
from distillery.pipelines.inventory.oracles import spent
from distillery.pipelines.inventory.reading import Reader, Row, each, moment
from distillery.pipelines.inventory.runs import outcome_of_summary


def filter_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each filter that a run of this store published.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows by name.
    """
    versions: dict[str, set[int]] = defaultdict(set)
    times: dict[str, float] = {}
    for entry in store.entries(f"{FILTERS}/{filter}" if filter else FILTERS):
        name = entry.key.split("/")[1]
        if (version := version_of_filter(entry.key)) is not None:
            versions[name].add(version)
            times[name] = max(entry.modified, times.get(name, 0.0))
    channels: dict[str, list[Found]] = defaultdict(list)
    for found in read_channels(store, filter):
        channels[found.filter].append(found)
    costs: dict[str, float] = defaultdict(float)
    for (name, _, _), usd in spent(store).items():
        costs[name] += usd

    def row(name: str) -> Row:
        reader = Reader()
        last: RunSummary | None = reader.read(lambda: read_last_summary(store, name))
        outcome, why = outcome_of_summary(last) if last else (None, "")
        documents = {found.channel: found.document for found in channels[name] if found.document}
        broken = [found.error for found in channels[name] if found.error]
        return {
            "name": name,
            "versions": sorted(versions[name]),
            "promoted": {channel: document.adapter for channel, document in documents.items() if document.adapter},
            "pinned": [channel for channel, document in documents.items() if document.pin],
            "candidates": [row.adapter for document in documents.values() for row in document.candidates],
            "last": outcome,
            "last_run": last.run if last else None,
            "usd": costs.get(name),
            "reason": why,
            "modified": moment(times.get(name)),
            "error": reader.error or next(iter(broken), None),
        }

    return each(sorted({*versions, *channels}), row)
