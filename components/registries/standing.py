"""What a registry is to hold of a channel: the adapter that serves, its figures, and where its report is."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from distillery.components.artifacts.benchmark import read_benchmark
from distillery.components.artifacts.channel import current
from distillery.components.artifacts.run_summary import read_adapter_summary
from distillery.components.artifacts.verdict import Verdict, read_verdict
from distillery.components.store import Digest, NotFound, Store, StoreError, not_read
from distillery.components.store.layout import adapters_folder, committed_key, report_key
from distillery.filters.errors import InputError

LINK: Final = "DISTILLERY_NOTIFY_LINK"  # address of a report for people, in which {run} is the run's name


class Standing(NamedTuple):
    """A channel, as a registry shows it.

    Attributes:
        filter: name of the filter.
        channel: name of the channel.
        adapter: digest of the adapter that serves.
        source: address of the adapter.
        facts: texts by name: digests, the gates' decision, the report.
        metrics: figures by name: those that the gates judged, and the test errors.
    """

    filter: str
    channel: str
    adapter: str
    source: str
    facts: dict[str, str]
    metrics: dict[str, float]

    @property
    def sentence(self) -> str:
        """Return what people read of the adapter."""
        mae = self.metrics.get("mae")
        error = "" if mae is None else f", test MAE {mae:.3f}"
        report = f"; report: {self.facts['report']}" if "report" in self.facts else ""
        return f"{self.filter} {self.adapter[:12]}{error}{report}"


def standing(store: Store, name: str, channel: str, settings: Mapping[str, str] = os.environ) -> Standing | None:
    """Return what a registry is to hold of a channel.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: of the filter.
        settings: the environment, which may say where people read reports.

    Returns:
        The standing; None where nothing serves yet.

    Raises:
        StoreError: the store can't be read.
    """
    pointer = current(store, name, channel)
    if pointer is None:
        return None
    facts = {"adapter": pointer.adapter, "verdict": pointer.verdict, "filter": pointer.filter}
    metrics = dict[str, float]()
    verdict = _verdict(store, name, pointer.verdict)
    if verdict:
        facts["decision"] = verdict.decision
        metrics = _metrics(store, verdict)
    if report := _report(store, pointer.adapter, settings):
        facts["report"] = report
    source = f"{store.uri}/{committed_key(adapters_folder(name), Digest(pointer.adapter)).rpartition('/')[0]}"
    return Standing(name, channel, pointer.adapter, source, facts, metrics)


def _verdict(store: Store, name: str, digest: str) -> Verdict | None:
    """Return a verdict; None where it is gone or altered, since what serves is told all the same."""
    try:
        return read_verdict(store, name, digest)
    except InputError as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        return None


def _metrics(store: Store, verdict: Verdict) -> dict[str, float]:
    found = dict[str, float]()
    for rule in verdict.rules:
        if rule.value is not None and math.isfinite(rule.value):
            found[f"{rule.metric}.{rule.argument}" if rule.argument else rule.metric] = float(rule.value)
    try:
        benchmark = read_benchmark(store, verdict.adapter, verdict.test, verdict.benchmark)
    except (InputError, NotFound) as error:
        if isinstance(error, StoreError) and not isinstance(error, NotFound) and not_read(error):
            raise
        return found
    more = {"mae": benchmark.mae, "overall_mae": benchmark.overall_mae, "spearman": benchmark.spearman}
    return {**{name: float(value) for name, value in more.items() if value is not None and math.isfinite(value)}, **found}


def _report(store: Store, adapter: str, settings: Mapping[str, str]) -> str:
    summary = read_adapter_summary(store, adapter)
    if summary is None or not summary.run:
        return ""
    link = settings.get(LINK, "").strip().replace("{run}", summary.run)
    return link or f"{store.uri}/{report_key(summary.run)}"
