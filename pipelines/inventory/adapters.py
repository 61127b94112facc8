"""The adapters of a store: promoted, waiting, rejected and why; figures, size, cost, and where each serves."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from distillery.components.artifacts.benchmark import read_benchmark
from distillery.components.artifacts.folder_meta import AdapterMeta
from distillery.components.artifacts.measurement import read_measurements
from distillery.components.artifacts.run_summary import NO_RUN, RunSummary, read_adapter_summary
from distillery.components.artifacts.verdict import Verdict, read_verdict
from distillery.components.promotion.judge import rule_name
from distillery.components.store import MANIFEST, Store, as_digest
from distillery.components.store.layout import ADAPTERS, adapters_folder, report_key, version_of_filter
from distillery.pipelines.inventory.channels import Found, read_channels
from distillery.pipelines.inventory.reading import Reader, Row, dollars, each, moment, text


class Bundle(NamedTuple):
    """A committed adapter, as a listing tells it: filter, digest, bytes, and when it was written in seconds since 1970."""

    filter: str
    digest: str
    size: int
    modified: float


def read_bundles(store: Store, filter: str = "") -> list[Bundle]:
    """Return the adapters of a store; what a killed commit left without a manifest is none.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        The adapters, newest first.
    """
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    times: dict[tuple[str, str], float] = {}
    for entry in store.entries(adapters_folder(filter) if filter else ADAPTERS):
        _, name, digest, *rest = entry.key.split("/")
        sizes[name, digest] += entry.size
        if rest == [MANIFEST]:
            times[name, digest] = entry.modified
    bundles = [Bundle(*key, sizes[key], at) for key, at in times.items()]
    return sorted(bundles, key=lambda bundle: (bundle.modified, bundle), reverse=True)


def adapter_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each adapter.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows, the newest adapter first.
    """
    channels: dict[str, list[Found]] = defaultdict(list)
    for found in read_channels(store, filter):
        channels[found.filter].append(found)
    return each(read_bundles(store, filter), lambda bundle: _row(store, bundle, channels[bundle.filter]))


def _row(store: Store, bundle: Bundle, channels: list[Found]) -> Row:
    name, digest, size, modified = bundle
    reader = Reader()
    summary = reader.read(lambda: read_adapter_summary(store, as_digest(digest)))
    meta = reader.read(lambda: AdapterMeta.of(store.folder(adapters_folder(name), as_digest(digest))))
    outputs = summary.outputs if summary else {}
    named, key = text(outputs.get("verdict")), text(outputs.get("filter_key"))
    verdict = reader.read(lambda: read_verdict(store, name, named)) if named else None
    benchmark = reader.read(lambda: read_benchmark(store, digest, verdict.test, verdict.benchmark)) if verdict else None
    state, why = state_of(digest, verdict, channels)
    label = summary.records.get("label") if summary else None
    return {
        "name": digest,
        "filter": name,
        "version": version_of_filter(key) if key else None,
        "state": state,
        "channels": [found.channel for found in channels if found.document and found.document.adapter == digest],
        "mae": benchmark.mae if benchmark else None,
        "size": size,
        "usd": dollars(label.facts if label else None),
        "reason": why,
        "split": meta.split if meta else None,
        "verdict": named,
        "run": summary.run if summary and summary.run != NO_RUN else None,
        "modified": moment(modified),
        "error": reader.error,
    }


def state_of(digest: str, verdict: Verdict | None, channels: list[Found]) -> tuple[str, str]:
    """Return what became of an adapter, and why where that is a person's or the gates' word.

    Args:
        digest: of the adapter.
        verdict: of its gates; None where there is none.
        channels: of its filter.

    Returns:
        promoted, candidate, blocked, replaced (it served before), rejected, passed or unjudged; and the reason, "" for none.
    """
    documents = [found.document for found in channels if found.document]
    if any(document.adapter == digest for document in documents):
        return "promoted", ""
    if any(row.adapter == digest for document in documents for row in document.candidates):
        doubts = [f"{rule_name(rule)}: {rule.reason}" for rule in verdict.reviews] if verdict else []
        return "candidate", "; ".join(["waits for approval", *doubts])
    if block := next((block for document in documents if (block := document.block_of(digest))), None):
        done, why = "refused" if block.refused else "rolled back", f": {block.reason}" if block.reason else ""
        return "blocked", f"{done} by {block.by or 'somebody'}{why}"
    if any(entry.adapter == digest for document in documents for entry in document.history):
        return "replaced", ""
    if verdict is None:
        return "unjudged", ""
    failed = [f"{rule_name(rule)}: {rule.reason}" for rule in verdict.rules if rule.verdict == "fail"]
    return ("rejected", "; ".join(failed)) if verdict.decision == "reject" else ("passed", "")


def adapter_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of an adapter beside its row.

    Args:
        store: the store.
        row: of the adapter.

    Returns:
        Its gates, how fast it is, its files and its report, as far as they can be read.
    """
    reader, name, digest = Reader(), row["filter"], as_digest(row["name"])
    folder = reader.read(lambda: store.folder(adapters_folder(name), digest))
    verdict = reader.read(lambda: read_verdict(store, name, row["verdict"])) if row["verdict"] else None
    summary: RunSummary | None = reader.read(lambda: read_adapter_summary(store, digest))
    measured = reader.read(lambda: read_measurements(store, name, digest))
    return {
        "gates": [rule.to_json() for rule in verdict.rules] if verdict else [],
        "measurements": [each.to_json() for each in measured or []],
        "files": {file: entry.size for file, entry in folder.files.items()} if folder else {},
        "filter_key": summary.filter_key if summary else None,
        "report": f"{store.uri}/{report_key(row['run'])}" if row["run"] else None,
    }
