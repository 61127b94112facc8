"""What a report is drawn from: the documents of one run, so that it can be drawn in a notebook, a test or a pod alike.

Every document may be missing: a run that stopped early still gets its report, from what there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from distillery.components.artifacts.audit import Audit
from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.bundle import ContentTypesFile, CurvesFile, HistoryFile, StudentFacts
from distillery.components.artifacts.content_caps import CapFigures
from distillery.components.artifacts.drift import Look
from distillery.components.artifacts.folder_meta import LabelSetMeta, SplitMeta
from distillery.components.artifacts.measurement import Measurement
from distillery.components.artifacts.review import Review
from distillery.components.artifacts.rubric_calibration import CalibrationOutputs
from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import Verdict
from distillery.components.store import Json
from distillery.filters.filter import Filter

T = TypeVar("T")
Columns = Mapping[str, tuple[Sequence[float | None], Sequence[float | None]]]
"""Labels and predictions by dimension, equally long, 0-10."""

MAX_BYTES = 2_000_000
"""A report's size limit in bytes; a report that would be larger shows shorter texts."""


class Promoted(NamedTuple):
    """An adapter that was promoted.

    Attributes:
        adapter: its digest.
        channel: the channel it serves on; "" where it is not known.
        previous: digest of the adapter that served before; "" where there was none or it is not known.
    """

    adapter: str
    channel: str = ""
    previous: str = ""


class Held(NamedTuple):
    """A person's word for which an adapter that passed was not promoted.

    Attributes:
        why: "pinned"; "blocked" where the channel was rolled back from this adapter; "refused" where the adapter was;
            "superseded" where the cluster's Filter object asks for something else by now.
        channel: the channel.
        by: the person; "" where it was not kept.
        at: UTC time.
        reason: why; "" where none was given.
    """

    why: str
    channel: str
    by: str
    at: str
    reason: str


@dataclass(frozen=True)
class Context:
    """One run's results. Each field is the document of one step, None where the step left none.

    Attributes:
        filter: None where the run stopped before it was read.
        calibrated: what the calibrate step put out.
        label_set: what the manifest of the label set says.
        audit: of the label set.
        split: what the manifest of the split says.
        student: what the bundle says of the student.
        history: of the training.
        score_curves: of the student.
        benchmark: of the student.
        predictions: labels and predictions over the test part.
        types: the head with which the student names content types.
        caps: what caps of content types do, or cost where the student names no type.
        verdict: of the gates.
        review: what people said of the adapter's test articles.
        measurements: how fast the student is on which machine, the latest first.
        looks: the looks at what the adapter scored, the latest first.
        base_numbers: parameters of the base model; None where it is not at hand.
        promoted: where the adapter serves.
        held: the person's word for which it was not promoted though it passed.
        steps: the records of the run's steps, in order.
        failure: why the run stopped.
        digests: by name.
        problems: artifacts that should be there and could not be read, one line each.
        source: the options that named the data, as typed ("--labels labels.jsonl").
        request: the run's arguments by the pipeline's names, with its store; None where an older run did not keep them.
        on_cluster: True if the run was a cluster's.
    """

    filter: Filter | None
    calibrated: CalibrationOutputs | None = None
    label_set: LabelSetMeta | None = None
    audit: Audit | None = None
    split: SplitMeta | None = None
    student: StudentFacts | None = None
    history: HistoryFile | None = None
    score_curves: CurvesFile | None = None
    benchmark: Benchmark | None = None
    predictions: Columns | None = None
    types: ContentTypesFile | None = None
    caps: CapFigures | None = None
    verdict: Verdict | None = None
    review: Review | None = None
    measurements: Sequence[Measurement] = ()
    looks: Sequence[Look] = ()
    base_numbers: int | None = None
    promoted: Promoted | None = None
    held: Held | None = None
    steps: Sequence[StepRecord] = ()
    failure: Failure | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    source: str = ""
    request: Mapping[str, Json] | None = None
    on_cluster: bool = False

    @property
    def flt(self) -> Filter:
        """The filter, for sections that are drawn only where there is one."""
        if self.filter is None:
            raise ValueError("the run stopped before its filter was read")
        return self.filter

    def by_dimension(self, rows: Mapping[str, T]) -> list[tuple[str, T]]:
        """Return rows in the order of the filter's dimensions, since stored documents may have their keys sorted.

        Args:
            rows: by name of the dimension.

        Returns:
            Names and rows; those of dimensions that the filter lacks come last.
        """
        return _ordered(rows, self.filter.dimensions if self.filter else [])

    def by_tier(self, rows: Mapping[str, T]) -> list[tuple[str, T]]:
        """Return rows in the order of the filter's tiers, from best to last.

        Args:
            rows: by name of the tier.

        Returns:
            Names and rows; those of tiers that the filter lacks come last.
        """
        return _ordered(rows, [tier.name for tier in self.filter.spec.tiers] if self.filter else [])


def _ordered(rows: Mapping[str, T], names: Sequence[str]) -> list[tuple[str, T]]:
    """Return the rows of these names in their order, then the others."""
    return [(name, rows[name]) for name in names if name in rows] + [row for row in rows.items() if row[0] not in names]
