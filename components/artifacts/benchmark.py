"""The benchmark of an adapter on a frozen test part: what the benchmark step writes, and gates, commands and the report read.

It is found by the digest of its own bytes, so the order of the fields below is the order of the keys in the file, and a key
that is not set is not written. What each figure means stands in `benchmarking/README.md`.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from distillery.components.artifacts.content_caps import CapFigures
from distillery.components.artifacts.document import Document
from distillery.components.artifacts.serving import Plan
from distillery.components.store import Store, as_digest
from distillery.components.store.layout import benchmark_key

DECIMALS = 9


def figure(value: object) -> float | None:
    """Return a figure as it is stored: at 9 decimals, so that the last bits of a sum move no digest; None if not finite.

    Args:
        value: a number, or None where it could not be worked out.

    Returns:
        The rounded figure; None for one that is not finite or not known.

    Raises:
        ValueError: the value is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a number")
    return round(float(value), DECIMALS) if math.isfinite(value) else None


def interval(value: object) -> tuple[float, float] | None:
    """Return a 95% interval as it is stored; None if it could not be worked out or an end is not finite.

    Args:
        value: its lower and upper end, or None.

    Returns:
        Its rounded lower and upper end, or None.

    Raises:
        ValueError: the value is something else, or its ends are in the wrong order.
    """
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("is not an interval [low, high]")
    low, high = map(figure, value)
    if low is None or high is None:
        return None
    if low > high:
        raise ValueError("is an interval whose low end is above its high end")
    return low, high


Figure = Annotated[float | None, BeforeValidator(figure)]
Interval = Annotated[tuple[float, float] | None, BeforeValidator(interval)]


class DimensionFigures(Document):
    """Errors of one dimension, in points of 10; `compression` is spread of predictions over spread of labels."""

    mae: Figure
    rmse: Figure
    bias: Figure
    compression: Figure
    spearman: Figure


class TierFigures(Document):
    """Shares of one tier, alone and with the tiers above it, and how many articles are labelled and predicted in it."""

    recall: Figure
    precision: Figure
    recall_or_better: Figure
    precision_or_better: Figure
    labelled: int
    predicted: int


class Confusion(Document):
    """Articles by labelled tier (row) and predicted tier (column), both in the order of `tiers`."""

    tiers: list[str]
    matrix: list[list[int]]


class BaselineFigures(Document):
    """What a baseline reaches on the same articles. skill: 1 less the student's MAE over the baseline's."""

    mae: Figure
    overall_mae: Figure
    rmse: Figure
    tier_agreement: Figure
    spearman: Figure
    skill: Figure


class SliceFigures(Document):
    """Errors among the n articles of one source, language or length. interval: of the MAE; None for a single article."""

    value: str
    n: int
    mae: Figure
    overall_mae: Figure
    bias: Figure
    interval: Interval


class CurvesFigures(Document):
    """Whether the score curves were kept, and validation MAE without and with them; None where the bundle does not say."""

    kept: bool | None
    validation_mae_raw: Figure
    validation_mae_calibrated: Figure


class IncumbentFigures(Document):
    """The adapter in use on the same articles.

    difference: our MAE less its MAE, over the dimensions both judge; interval: of the difference. seen: test articles that it
    was trained on; None where unknown. reason: why it could not be compared; set only then, and all figures are None.
    """

    adapter: str
    mae: Figure
    overall_mae: Figure
    difference: Figure
    interval: Interval
    seen: int | None
    reason: str = ""


class SecondDimension(Document):
    """How another oracle's scores of one dimension differ from the first one's."""

    bias: Figure
    mae: Figure


class SecondOracle(Document):
    """Another oracle on n of the same articles: how far it lies from the first, by dimension and overall."""

    bias: Figure
    dimensions: dict[str, SecondDimension]
    label_set: str
    mae: Figure
    model: str
    n: int
    overall_mae: Figure
    provider: str


class NoiseFigures(Document):
    """The labels' own noise: how far the oracle lies from its mean when asked `repeat` times about n articles.

    dimensions: MAE of each. difference: the student's MAE less the oracle's.
    """

    mae: Figure
    interval: Interval
    overall_mae: Figure
    dimensions: dict[str, Figure]
    n: int
    repeat: int
    difference: Figure
    second: SecondOracle | None


class ReferenceErrors(Document):
    """How far the student's predictions and the oracle's labels are from the true scores."""

    student_mae: Figure
    label_mae: Figure


class ReferenceFigures(ReferenceErrors):
    """The same over all dimensions, and for each of which a true score is known."""

    dimensions: dict[str, ReferenceErrors]


class Example(Document):
    """One test article with its label and its prediction, 0-10 by dimension and overall."""

    id: str
    title: str
    excerpt: str
    source: str
    label: dict[str, Figure]
    prediction: dict[str, Figure]
    overall_label: Figure
    overall_prediction: Figure


class Examples(Document):
    """The articles predicted best and worst, by the error of the overall score."""

    best: list[Example]
    worst: list[Example]


class Benchmark(Document):
    """benchmark.json. A figure is None where it can't be worked out: the recall of a tier that nobody labelled.

    filter: name. adapter, test: digests. n: articles. intervals: by dotted path ("tiers.high.recall"). slices: by "source",
    "language" and "length". alarms: sentences that make the other figures meaningless.
    """

    KIND: ClassVar[str] = "a benchmark"
    HINT: ClassVar[str] = "run again: what hasn't changed is reused"

    filter: str
    adapter: str
    test: str
    n: int
    mae: Figure
    rmse: Figure
    overall_mae: Figure
    overall_rmse: Figure
    bias: Figure
    spearman: Figure
    score_compression: Figure
    tier_agreement: Figure
    train_val_gap: Figure
    val_test_gap: Figure
    train_mae: Figure
    validation_mae: Figure
    dimensions: dict[str, DimensionFigures]
    tiers: dict[str, TierFigures]
    confusion: Confusion
    baselines: dict[str, BaselineFigures]
    intervals: dict[str, Interval]
    slices: dict[str, list[SliceFigures]]
    score_curves: CurvesFigures = Field(alias="calibration")
    incumbent: IncumbentFigures | None
    noise: NoiseFigures | None = None
    """None where it was not measured; benchmarks from before it could be measured lack the key."""
    reference: ReferenceFigures | None
    examples: Examples
    alarms: list[str]
    served: Plan | None = None
    """How the adapter was read, which is how it is promoted and scores; not set where that is fp32 on a CPU by torch."""
    accuracy: Figure = None
    """This and the figures below are set only where a gate asks for them."""
    no_overfitting: Figure = None
    memory_mb: Figure = None
    caps: CapFigures | None = None
    """What missing caps of content types cost; set where a benchmark is made to be read, and never in one that is stored."""

    def interval(self, path: str) -> tuple[float, float] | None:
        """Return the 95% interval of a figure.

        Args:
            path: the figure's dotted path ("mae", "dimensions.agency.mae").

        Returns:
            Its lower and upper end; None where there is none.
        """
        return self.intervals.get(path)

    def best_baseline(self) -> tuple[str, float] | None:
        """Return name and MAE of the baseline nearest to the labels; None where no baseline was measured.

        Returns:
            (name, MAE in points), or None.
        """
        ranked = self.ranked_baselines()
        return (ranked[0][0], ranked[0][1].mae or 0.0) if ranked else None

    def ranked_baselines(self) -> list[tuple[str, BaselineFigures]]:
        """Return the baselines that have an MAE by name, nearest to the labels first.

        Returns:
            (name, figures) pairs, the smallest MAE first and equal ones by name.
        """
        known = [(row.mae, name, row) for name, row in self.baselines.items() if row.mae is not None]
        return [(name, row) for _, name, row in sorted(known, key=lambda entry: entry[:2])]

    def losses(self) -> list[str]:
        """Return in what the student is not shown to be better: than the best baseline, than the adapter in use.

        Returns:
            Parts of a sentence with their figures; none for a student that is ahead of every baseline, and whose interval
            against the adapter in use lies below 0 where there is one to compare with.
        """
        found, best, used = [], self.best_baseline(), self.incumbent
        if best and self.mae is not None and self.mae > best[1]:
            found.append(f"behind the baseline {best[0].replace('_', ' ')} (MAE {self.mae:.3f} against {best[1]:.3f})")
        if used and used.difference is not None and (used.interval is None or used.interval[1] >= 0):
            low, high = used.interval or (used.difference, used.difference)
            found.append(f"not shown to be better than the adapter in use ({used.difference:+.3f}, {low:+.3f} to {high:+.3f})")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain JSON values in the order of its fields, without keys that are not set.

        Returns:
            A JSON object.
        """
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)

    def to_bytes(self) -> bytes:
        """Return the bytes whose digest names the benchmark: indented JSON in the order of the fields.

        Returns:
            JSON in UTF-8.

        Raises:
            ValueError: a figure is NaN or infinite.
        """
        return json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=1).encode()


def read_benchmark(store: Store, adapter: str, test: str, digest: str) -> Benchmark:
    """Return a benchmark, its bytes verified against its digest.

    Args:
        store: where it is.
        adapter: digest of the adapter.
        test: digest of the test part.
        digest: digest of the benchmark.

    Returns:
        The benchmark.

    Raises:
        InputError: the benchmark's digest is not one.
        NotFound: this adapter has no such benchmark on this test part.
        StoreError: its bytes were altered, or it has another form.
    """
    return Benchmark.load(store, benchmark_key(adapter, test, digest), digest=as_digest(digest, "benchmark"))
