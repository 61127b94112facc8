"""What a report is drawn from: plain JSON values, so that it can be drawn in a notebook, a test or a pod alike.

Everything but the filter may be missing: a run that stopped early still gets its report, from what there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from distillery.filters.filter import Filter

Document = Mapping[str, Any]
"""A parsed JSON object. Readers here take any missing or null value as absent."""

MAX_BYTES = 2_000_000
"""A report's size limit in bytes; a report that would be larger shows shorter texts."""


@dataclass(frozen=True)
class Context:
    """One run's results. Each field is the document of one step, None where the step left none.

    filter: None where the run stopped before it was read. label_set, split: manifest metadata.
    audit, benchmark, verdict, student, history, calibration: the JSON documents.
    calibrated: what the calibrate step found of the oracle: verdict, reasons, marks, figures.
    predictions: {dimension: (labels, predictions)}, two equally long sequences of scores 0-10, over the test part.
    promoted: {"channel", "adapter", "previous"}. steps: [{"step", "reused", "seconds", "facts"}], in order.
    failure: {"step", "message"} of the step at which the run stopped. digests: {name: digest}.
    problems: artifacts that should be there and could not be read, one line each.
    source: the options that named the data, as typed ("--labels labels.jsonl").
    """

    filter: Filter | None
    calibrated: Document | None = None
    label_set: Document | None = None
    audit: Document | None = None
    split: Document | None = None
    student: Document | None = None
    history: Document | None = None
    calibration: Document | None = None
    benchmark: Document | None = None
    predictions: Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]] | None = None
    verdict: Document | None = None
    promoted: Document | None = None
    steps: Sequence[Document] = ()
    failure: Document | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    source: str = ""

    def in_filter_order(self) -> Context:
        """The same, with dimensions and tiers in the order of the filter: stored documents have their keys sorted."""
        if self.filter is None:
            return self
        orders = [self.filter.dimensions, [tier.name for tier in self.filter.spec.tiers], ["source", "language", "length"]]
        documents = ("student", "calibration", "benchmark", "audit", "predictions")
        return replace(self, **{name: _in_order(getattr(self, name), orders) for name in documents})

    @property
    def flt(self) -> Filter:
        """The filter, for sections that are drawn only where there is one."""
        if self.filter is None:
            raise ValueError("the run stopped before its filter was read")
        return self.filter


def _in_order(value: Any, orders: Sequence[list[str]]) -> Any:
    """Every mapping whose keys all stand in one of the orders, in that order."""
    if isinstance(value, list):
        return [_in_order(item, orders) for item in value]
    if not isinstance(value, Mapping):
        return value
    order = next((order for order in orders if value and set(value) <= set(order)), None)
    keys = [name for name in order if name in value] if order else list(value)
    return {key: _in_order(value[key], orders) for key in keys}
