"""The steps of `distill` in this process, up to one of them: what the single commands (`audit`, `train`, …) run."""

from __future__ import annotations

from typing import Literal

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.progress import reporter
from distillery.components.store import Store
from distillery.filters.filter import Filter

Last = Literal["label", "audit", "split", "train", "benchmark", "gate"]


def run_through(
    last: Last, store: Store, flt: Filter, *, articles: str, labels: str, max_rejects: str = "0"
) -> dict[str, StepRecord]:
    """Runs or reuses every step up to and including `last`; records by step name. Promotes nothing.

    Raises InputError as the steps do.
    """
    from distillery.components.labeling.label import label

    labelled = label(store, flt, articles=articles, labels=labels, max_rejects=max_rejects, progress=reporter("label"))
    records = {"label": labelled}
    if last == "label":
        return records
    label_set = labelled.outputs["label_set"]

    from distillery.components.auditing.audit import audit

    records["audit"] = audit(store, flt, label_set=label_set, progress=reporter("audit"))
    if last == "audit":
        return records

    from distillery.components.splitting.split import split

    records["split"] = split(store, flt, label_set=label_set, progress=reporter("split"))
    if last == "split":
        return records
    parts = records["split"].outputs["split"]

    from distillery.components.training.train import train

    records["train"] = train(store, flt, split=parts, progress=reporter("train"))
    if last == "train":
        return records
    adapter = records["train"].outputs["adapter"]

    from distillery.components.benchmarking.benchmark import benchmark

    records["benchmark"] = benchmark(store, flt, adapter=adapter, split=parts, progress=reporter("benchmark"))
    if last == "benchmark":
        return records

    from distillery.components.gating.gate import gate

    judged = records["benchmark"].outputs["benchmark"]
    records["gate"] = gate(
        store,
        flt,
        adapter=adapter,
        benchmark=judged,
        test=records["benchmark"].outputs["test"],
        progress=reporter("gate"),
    )
    return records
