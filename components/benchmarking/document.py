"""The benchmark from labels and predictions: pure arithmetic, no model, no store.

The tier and overall score of a label use the content type that the oracle gave; those of a prediction the one that the student
names, as in production, where no oracle is asked: none for a student without a head for types. So a content cap that only the
oracle can apply counts against the student in the overall figures, as it should.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import references, scores
from distillery.components.artifacts.benchmark import (
    BaselineFigures,
    Benchmark,
    Confusion,
    CurvesFigures,
    DimensionFigures,
    Example,
    Examples,
    IncumbentFigures,
    NoiseFigures,
    ReferenceErrors,
    ReferenceFigures,
    SliceFigures,
    TierFigures,
    figure,
)
from distillery.components.benchmarking.alarms import check_predictions, ignores_input
from distillery.components.benchmarking.incumbent import Incumbent
from distillery.components.benchmarking.intervals import Range, intervals, widened
from distillery.components.benchmarking.metrics import NEAR, Judged, confusion, measure
from distillery.components.benchmarking.predict import About
from distillery.components.benchmarking.slices import Slicing, slice_measures, slicings
from distillery.filters.digests import figures_on_demand
from distillery.filters.verdict import judge, tier_names

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]
Ranges = Mapping[str, Range]

BEST, WORST, EXCERPT = 5, 8, 600


def judged(
    flt: Filter,
    labels: Floats,
    predictions: Floats,
    content_types: list[str | None] | None,
    predicted: Sequence[str | None] | None = None,
) -> Judged:
    """Return labels and predictions with their overall scores and tiers.

    Args:
        flt: the filter whose weights, caps, gatekeepers and tiers apply.
        labels: (n, D), 0-10.
        predictions: (n, D), 0-10.
        content_types: of each label; None where no label has one.
        predicted: content type that the student names of each; None where it names none.

    Returns:
        Both, with the tiers as positions from best to last.
    """
    tiers = tier_names(flt)
    position = {name: i for i, name in enumerate(tiers)}
    of_labels, of_predictions = judge(flt, labels, content_types), judge(flt, predictions, predicted)

    def positions(names: Any) -> NDArray[np.int64]:
        return np.asarray([position[str(name)] for name in names], dtype=np.int64)

    return Judged(
        dimensions=flt.dimensions,
        tiers=tiers,
        labels=labels,
        predictions=predictions,
        overall_labels=of_labels.overall,
        overall_predictions=of_predictions.overall,
        tier_labels=positions(of_labels.tier),
        tier_predictions=positions(of_predictions.tier),
    )


def benchmark_document(
    flt: Filter,
    about: About,
    test: str,
    frame: pa.Table,
    predictions: Floats,
    baselines: Mapping[str, Floats],
    incumbent: Incumbent | None = None,
    alarms: Sequence[str] = (),
    noise: Mapping[str, Any] | None = None,
    on_demand: Mapping[str, float | None] | None = None,
    types: Sequence[str | None] | None = None,
) -> Benchmark:
    """Return the benchmark (see README.md) of predictions for labelled articles.

    Args:
        flt: the filter.
        about: the adapter that made the predictions.
        test: digest of the labelled set, the seed of all intervals.
        frame: n labelled articles.
        predictions: (n, D), after the score curves, 0-10.
        baselines: (n, D) each, by name.
        incumbent: the adapter in use with its predictions; None where there is none.
        alarms: those that are known already.
        noise: {"floor", "second"} of the labels' oracle; None where it was not measured.
        on_demand: figures that the filter's gates ask for and that follow from no prediction, by name; None for none.
        types: content type that the student names of each article; None for a student that names none.

    Returns:
        The document; nothing is stored.

    Raises:
        InputError: a prediction is not a number, or there are no articles.
    """
    labels = scores(frame, flt.dimensions)
    check_predictions(frame, flt.dimensions, predictions, about.adapter)
    known = frame["content_type"].to_pylist() if "content_type" in frame.column_names else None
    ours = judged(flt, labels, predictions, known, types)
    others = {name: judged(flt, labels, values, known) for name, values in baselines.items()}
    groups = slicings(frame)
    errors = _paired_errors(flt, labels, predictions, incumbent)

    def figures(weights: Floats | None) -> dict[str, Floats]:
        measured = measure(ours, weights)
        measured |= _gaps(about, measured["mae"])
        w = np.ones((1, ours.n)) if weights is None else weights
        total = w.sum(axis=1)
        for name, other in others.items():
            theirs = w @ np.abs(other.predictions - labels).mean(axis=1) / total
            measured[f"baselines.{name}.mae"] = theirs
            with np.errstate(divide="ignore", invalid="ignore"):
                measured[f"baselines.{name}.skill"] = 1 - measured["mae"] / theirs
        if errors is not None:
            measured["incumbent.mae"] = w @ errors[1] / total
            measured["incumbent.difference"] = w @ (errors[0] - errors[1]) / total
        for group in groups:
            for name, values in slice_measures(ours, group, w).items():
                for i in range(len(group.values)):
                    measured[f"slices.{group.by}.{i}.{name}"] = values[:, i]
        return measured

    point = {path: float(values[0]) for path, values in figures(None).items()}
    ranges = intervals(figures, ours.n, test)
    asked, spans = set(figures_on_demand(flt)), _intervals(ours, ranges)
    extra = {name: value for name, value in (on_demand or {}).items() if name in asked}
    if "accuracy" in asked:
        near = int((np.abs(ours.predictions - labels) <= NEAR).sum())
        extra["accuracy"], spans["accuracy"] = point["accuracy"], widened(ranges["accuracy"], near, labels.size)
    measured_noise = _noise(noise, point["mae"])
    if measured_noise and measured_noise.interval and ranges["mae"] is not None:
        (low, high), (least, most) = ranges["mae"], measured_noise.interval
        spans["noise.difference"] = (low - most, high - least)  # two samples: never too narrow
    curves = about.curves
    document = Benchmark(
        filter=flt.name,
        adapter=about.adapter,
        test=test,
        n=ours.n,
        mae=point["mae"],
        rmse=point["rmse"],
        overall_mae=point["overall_mae"],
        overall_rmse=point["overall_rmse"],
        bias=point["bias"],
        spearman=point["spearman"],
        score_compression=point["score_compression"],
        tier_agreement=point["tier_agreement"],
        train_val_gap=point["train_val_gap"],
        val_test_gap=point["val_test_gap"],
        train_mae=about.student.train_mae,
        validation_mae=about.student.validation_mae,
        dimensions={name: DimensionFigures(**_below(point, f"dimensions.{name}")) for name in ours.dimensions},
        tiers=_tiers(ours, point),
        confusion=Confusion(tiers=list(ours.tiers), matrix=confusion(ours).tolist()),
        baselines={name: _baseline(other, point[f"baselines.{name}.skill"]) for name, other in others.items()},
        intervals=spans,
        slices={group.by: _slices(group, point, ranges) for group in groups},
        calibration=CurvesFigures(
            kept=curves.kept,
            validation_mae_raw=curves.validation_mae_raw,
            validation_mae_calibrated=curves.validation_mae_calibrated,
        ),
        incumbent=_incumbent(flt, ours, incumbent, point, ranges, known) if incumbent else None,
        noise=measured_noise,
        reference=_reference(flt.dimensions, labels, predictions, references(frame, flt.dimensions)),
        examples=_examples(frame, ours),
        alarms=[*about.student.alarms, *alarms, *ignores_input(ours)],
    )
    return document.model_copy(update={name: figure(value) for name, value in sorted(extra.items())}) if extra else document


def _noise(noise: Mapping[str, Any] | None, mae: float) -> NoiseFigures | None:
    """Return the oracle's own noise beside the student's error; None where it was not measured."""
    if noise is None or not noise.get("floor"):
        return None
    floor = noise["floor"]
    keys = ("mae", "interval", "overall_mae", "dimensions", "n", "repeat")
    return NoiseFigures(**{key: floor[key] for key in keys}, difference=mae - floor["mae"], second=noise.get("second"))


def _gaps(about: About, mae: Floats) -> dict[str, Floats]:
    """Return how much worse validation is than training, and this set than validation, as shares.

    Like is compared with like: raw scores in the first, scores as served (after the curves, cross-fitted) in the second.
    """
    train, validation = about.student.train_mae, about.student.validation_mae
    served = about.curves.validation_mae_calibrated if about.curves.kept else validation
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (np.float64(validation) - train) / np.float64(train)
        return {"train_val_gap": np.full(len(mae), gap), "val_test_gap": (mae - served) / np.float64(served)}


def _intervals(ours: Judged, ranges: Ranges) -> dict[str, Range]:
    """Return the intervals that are read by path: those of shares of few articles widened, none for the training gap.

    The test set has no part in that gap, and the intervals of slices stand in the slices.
    """
    spans = {path: span for path, span in ranges.items() if not path.startswith("slices.")}
    del spans["train_val_gap"], spans["accuracy"]
    places = np.arange(len(ours.tiers))
    labelled, predicted = ours.tier_labels[:, None], ours.tier_predictions[:, None]
    agree = int((ours.tier_labels == ours.tier_predictions).sum())
    spans["tier_agreement"] = widened(spans["tier_agreement"], agree, ours.n)
    for suffix, is_labelled, is_predicted in (
        ("", labelled == places, predicted == places),
        ("_or_better", labelled <= places, predicted <= places),
    ):
        hits = (is_labelled & is_predicted).sum(axis=0)
        for i, name in enumerate(ours.tiers):
            for metric, total in (("recall", is_labelled), ("precision", is_predicted)):
                path = f"tiers.{name}.{metric}{suffix}"
                spans[path] = widened(spans[path], int(hits[i]), int(total[:, i].sum()))
    return spans


def _below(point: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return the figures below a dotted path by their last name."""
    return {path.removeprefix(f"{prefix}."): value for path, value in point.items() if path.startswith(f"{prefix}.")}


def _tiers(ours: Judged, point: Mapping[str, float]) -> dict[str, TierFigures]:
    return {
        name: TierFigures(
            **_below(point, f"tiers.{name}"),
            labelled=int((ours.tier_labels == i).sum()),
            predicted=int((ours.tier_predictions == i).sum()),
        )
        for i, name in enumerate(ours.tiers)
    }


def _baseline(other: Judged, skill: float) -> BaselineFigures:
    measured = measure(other)
    names = ("mae", "overall_mae", "rmse", "tier_agreement", "spearman")
    return BaselineFigures(**{name: float(measured[name][0]) for name in names}, skill=skill)


def _slices(group: Slicing, point: Mapping[str, float], ranges: Ranges) -> list[SliceFigures]:
    sizes = np.bincount(group.group, minlength=len(group.values))
    rows = []
    for i, value in enumerate(group.values):
        path = f"slices.{group.by}.{i}"
        span = ranges[f"{path}.mae"] if sizes[i] > 1 else None
        rows.append(SliceFigures(value=value, n=int(sizes[i]), **_below(point, path), interval=span))
    return rows


def _paired_errors(
    flt: Filter, labels: Floats, predictions: Floats, incumbent: Incumbent | None
) -> tuple[Floats, Floats] | None:
    """Return the mean absolute error per article, ours and the incumbent's, over the dimensions that both judge."""
    if incumbent is None or incumbent.predictions is None:
        return None
    shared = [name for name in flt.dimensions if name in incumbent.dimensions]
    if not shared:
        return None
    here, there = [flt.dimensions.index(d) for d in shared], [incumbent.dimensions.index(d) for d in shared]
    truth = labels[:, here]
    return (
        np.abs(predictions[:, here] - truth).mean(axis=1),
        np.abs(incumbent.predictions[:, there] - truth).mean(axis=1),
    )


def _incumbent(
    flt: Filter,
    ours: Judged,
    incumbent: Incumbent,
    point: Mapping[str, float],
    ranges: Ranges,
    types: list[str | None] | None,
) -> IncumbentFigures:
    if incumbent.predictions is None or "incumbent.mae" not in point:
        reason = incumbent.reason or "it judges none of this filter's dimensions"
        none = dict.fromkeys(("mae", "overall_mae", "difference", "interval"))
        return IncumbentFigures(adapter=incumbent.adapter, **none, seen=incumbent.seen, reason=reason)
    overall_mae = None
    if set(flt.dimensions) <= set(incumbent.dimensions):
        order = [incumbent.dimensions.index(name) for name in flt.dimensions]
        theirs = judged(flt, ours.labels, incumbent.predictions[:, order], types, incumbent.types)
        overall_mae = float(measure(theirs)["overall_mae"][0])
    return IncumbentFigures(
        adapter=incumbent.adapter,
        mae=point["incumbent.mae"],
        overall_mae=overall_mae,
        difference=point["incumbent.difference"],
        interval=ranges["incumbent.difference"],
        seen=incumbent.seen,
    )


def _reference(dimensions: list[str], labels: Floats, predictions: Floats, truth: Floats | None) -> ReferenceFigures | None:
    """Return how far student and labels are from the true scores; None where nobody knows them."""
    if truth is None or np.isnan(truth).all():
        return None
    student, label = np.abs(predictions - truth), np.abs(labels - truth)
    known = {
        name: ReferenceErrors(
            student_mae=float(np.nanmean(student[:, i])),
            label_mae=float(np.nanmean(label[:, i])),
        )
        for i, name in enumerate(dimensions)
        if not np.isnan(truth[:, i]).all()
    }
    return ReferenceFigures(student_mae=float(np.nanmean(student)), label_mae=float(np.nanmean(label)), dimensions=known)


def _examples(frame: pa.Table, ours: Judged) -> Examples:
    """Return the worst articles by error of the overall score, and of the rest the best, the relevant ones first."""
    error = np.abs(ours.overall_predictions - ours.overall_labels)
    worst = np.argsort(-error, kind="stable")[:WORST]
    rest = np.setdiff1d(np.arange(ours.n), worst)
    best = rest[np.lexsort((-ours.overall_labels[rest], np.round(error[rest], 1)))][:BEST]

    def example(row: int) -> Example:
        columns = {name: frame[name][row].as_py() or "" for name in ("id", "title", "content", "source")}
        return Example(
            id=columns["id"],
            title=columns["title"][:EXCERPT],
            excerpt=columns["content"][:EXCERPT],
            source=columns["source"],
            label=dict(zip(ours.dimensions, ours.labels[row].tolist(), strict=True)),
            prediction=dict(zip(ours.dimensions, ours.predictions[row].tolist(), strict=True)),
            overall_label=float(ours.overall_labels[row]),
            overall_prediction=float(ours.overall_predictions[row]),
        )

    return Examples(best=[example(int(i)) for i in best], worst=[example(int(i)) for i in worst])
