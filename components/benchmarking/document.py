"""From labels and predictions to the benchmark: pure arithmetic, no model, no store.

Labels are judged with the content type the oracle gave, predictions without one, as in production where no oracle
speaks; so a content cap that only the oracle can see counts against the student in the overall figures, as it should.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import references, scores
from distillery.components.benchmarking.alarms import check_predictions, ignores_input
from distillery.components.benchmarking.incumbent import Incumbent
from distillery.components.benchmarking.intervals import intervals, widened
from distillery.components.benchmarking.metrics import Judged, confusion, measure
from distillery.components.benchmarking.predict import About
from distillery.components.benchmarking.slices import Slicing, slice_measures, slicings
from distillery.filters.verdict import judge, tier_names

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

BEST, WORST, EXCERPT = 5, 8, 600
DECIMALS = 9


def judged(flt: Filter, labels: Floats, predictions: Floats, content_types: list[str | None] | None) -> Judged:
    """Labels and predictions (n, D) with their overall scores and tiers."""
    tiers = tier_names(flt)
    place = {name: i for i, name in enumerate(tiers)}
    of_labels, of_predictions = judge(flt, labels, content_types), judge(flt, predictions)

    def codes(names: Any) -> NDArray[np.int64]:
        return np.asarray([place[str(name)] for name in names], dtype=np.int64)

    return Judged(
        dimensions=flt.dimensions,
        tiers=tiers,
        labels=labels,
        predictions=predictions,
        overall_labels=of_labels.overall,
        overall_predictions=of_predictions.overall,
        tier_labels=codes(of_labels.tier),
        tier_predictions=codes(of_predictions.tier),
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
) -> dict[str, Any]:
    """The benchmark (see README.md) of predictions (n, D), calibrated, 0-10, for the n labelled articles of `frame`.

    test: digest of the labelled set, the seed of all intervals. baselines: (n, D) each. noise: {"floor", "second"} of the
    labels' oracle, where measured. InputError if a prediction is not a number or there are no articles.
    """
    labels = scores(frame, flt.dimensions)
    check_predictions(frame, flt.dimensions, predictions, about.adapter)
    types = frame["content_type"].to_pylist() if "content_type" in frame.column_names else None
    ours = judged(flt, labels, predictions, types)
    others = {name: judged(flt, labels, values, types) for name, values in baselines.items()}
    groups = slicings(frame)
    rival = _rival(flt, labels, predictions, incumbent)

    def figures(weights: Floats | None) -> dict[str, Floats]:
        found = measure(ours, weights)
        found |= _gaps(about.student, about.calibration, found["mae"])
        w = np.ones((1, ours.n)) if weights is None else weights
        total = w.sum(axis=1)
        for name, other in others.items():
            theirs = w @ np.abs(other.predictions - labels).mean(axis=1) / total
            found[f"baselines.{name}.mae"] = theirs
            with np.errstate(divide="ignore", invalid="ignore"):
                found[f"baselines.{name}.skill"] = 1 - found["mae"] / theirs
        if rival is not None:
            found["incumbent.mae"] = w @ rival[1] / total
            found["incumbent.difference"] = w @ (rival[0] - rival[1]) / total
        for group in groups:
            for name, values in slice_measures(ours, group, w).items():
                for i in range(len(group.values)):
                    found[f"slices.{group.by}.{i}.{name}"] = values[:, i]
        return found

    point = {path: float(values[0]) for path, values in figures(None).items()}
    ranges = intervals(figures, ours.n, test)
    dimensions, tiers = _nested(point, "dimensions"), _nested(point, "tiers")
    for i, name in enumerate(ours.tiers):
        tiers[name]["labelled"] = int((ours.tier_labels == i).sum())
        tiers[name]["predicted"] = int((ours.tier_predictions == i).sum())
    result: dict[str, Any] = {
        "filter": flt.name,
        "adapter": about.adapter,
        "test": test,
        "n": ours.n,
        **{path: value for path, value in point.items() if "." not in path},
        "train_mae": about.student.get("train_mae"),
        "validation_mae": about.student.get("validation_mae"),
        "dimensions": dimensions,
        "tiers": tiers,
        "confusion": {"tiers": list(ours.tiers), "matrix": confusion(ours).tolist()},
        "baselines": {name: _baseline(other, point[f"baselines.{name}.skill"]) for name, other in others.items()},
        "intervals": _intervals(ours, ranges),
        "slices": {group.by: _slices(group, point, ranges) for group in groups},
        "calibration": {key: about.calibration.get(key) for key in ("kept", "validation_mae_raw", "validation_mae_calibrated")},
        "incumbent": _incumbent(flt, ours, incumbent, rival, point, ranges, types),
        "noise": _noise(noise, point["mae"]),
        "reference": _reference(flt.dimensions, labels, predictions, references(frame, flt.dimensions)),
        "examples": _examples(frame, ours),
        "alarms": [*about.student.get("alarms", []), *alarms, *ignores_input(ours)],
    }
    if result["noise"] and ranges["mae"] is not None:
        (low, high), (least, most) = ranges["mae"], result["noise"]["interval"]
        result["intervals"]["noise.difference"] = [low - most, high - least]  # two samples: never too narrow
    return tidy(result)  # type: ignore[no-any-return]


def _noise(noise: Mapping[str, Any] | None, mae: float) -> dict[str, Any] | None:
    """The oracle's own noise beside the student's error; None where it was not measured."""
    if noise is None or not noise.get("floor"):
        return None
    floor = noise["floor"]
    keys = ("mae", "interval", "overall_mae", "dimensions", "n", "repeat")
    return {**{key: floor[key] for key in keys}, "difference": mae - floor["mae"], "second": noise.get("second")}


def _gaps(student: Mapping[str, Any], calibration: Mapping[str, Any], mae: Floats) -> dict[str, Floats]:
    """How much worse validation is than training, and this set than validation, as shares; NaN where not known.

    Like is held against like: raw scores in the first, calibrated ones (cross-fitted on validation) in the second.
    """

    def known(facts: Mapping[str, Any], key: str) -> float:
        value = facts.get(key)
        return float(value) if isinstance(value, int | float) else math.nan

    train, validation = known(student, "train_mae"), known(student, "validation_mae")
    served = known(calibration, "validation_mae_calibrated") if calibration.get("kept") else validation
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (np.float64(validation) - train) / np.float64(train)
        return {"train_val_gap": np.full(len(mae), gap), "val_test_gap": (mae - served) / np.float64(served)}


def _intervals(ours: Judged, ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are read by path; shares of few articles widened, and none for what the test set has no part in."""
    spans = {path: span for path, span in ranges.items() if not path.startswith("slices.")}
    del spans["train_val_gap"]
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


def _nested(point: Mapping[str, float], root: str) -> dict[str, dict[str, float]]:
    nested: dict[str, dict[str, float]] = {}
    for path, value in point.items():
        head, *rest = path.split(".")
        if head == root:
            nested.setdefault(rest[0], {})[rest[1]] = value
    return nested


def _baseline(other: Judged, skill: float) -> dict[str, float]:
    found = measure(other)
    names = ("mae", "overall_mae", "rmse", "tier_agreement", "spearman")
    return {**{name: float(found[name][0]) for name in names}, "skill": skill}


def _slices(group: Slicing, point: Mapping[str, float], ranges: Mapping[str, Any]) -> list[dict[str, Any]]:
    sizes = np.bincount(group.group, minlength=len(group.values))
    rows = []
    for i, value in enumerate(group.values):
        path = f"slices.{group.by}.{i}"
        figures = {name: point[f"{path}.{name}"] for name in ("mae", "overall_mae", "bias")}
        interval = ranges[f"{path}.mae"] if sizes[i] > 1 else None
        rows.append({"value": value, "n": int(sizes[i]), **figures, "interval": interval})
    return rows


def _rival(flt: Filter, labels: Floats, predictions: Floats, incumbent: Incumbent | None) -> tuple[Floats, Floats] | None:
    """Mean absolute error per article, ours and the incumbent's, over the dimensions that both judge."""
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
    incumbent: Incumbent | None,
    rival: tuple[Floats, Floats] | None,
    point: Mapping[str, float],
    ranges: Mapping[str, Any],
    types: list[str | None] | None,
) -> dict[str, Any] | None:
    if incumbent is None:
        return None
    names = ("mae", "overall_mae", "difference", "interval")
    found: dict[str, Any] = {"adapter": incumbent.adapter, **dict.fromkeys(names), "seen": incumbent.seen}
    if rival is None or incumbent.predictions is None:
        return {**found, "reason": incumbent.reason or "it judges none of this filter's dimensions"}
    found |= {"mae": point["incumbent.mae"], "difference": point["incumbent.difference"]}
    found["interval"] = ranges["incumbent.difference"]
    if set(flt.dimensions) <= set(incumbent.dimensions):
        order = [incumbent.dimensions.index(name) for name in flt.dimensions]
        theirs = judged(flt, ours.labels, incumbent.predictions[:, order], types)
        found["overall_mae"] = float(measure(theirs)["overall_mae"][0])
    return found


def _reference(dimensions: list[str], labels: Floats, predictions: Floats, truth: Floats | None) -> dict[str, Any] | None:
    """How far student and labels are from the true scores, where somebody knows them."""
    if truth is None or np.isnan(truth).all():
        return None
    student, label = np.abs(predictions - truth), np.abs(labels - truth)
    known = {}
    for i, name in enumerate(dimensions):
        if not np.isnan(truth[:, i]).all():
            known[name] = {
                "student_mae": float(np.nanmean(student[:, i])),
                "label_mae": float(np.nanmean(label[:, i])),
            }
    return {"student_mae": float(np.nanmean(student)), "label_mae": float(np.nanmean(label)), "dimensions": known}


def _examples(frame: pa.Table, ours: Judged) -> dict[str, list[dict[str, Any]]]:
    """The worst articles by error of the overall score, and of the rest the best, the relevant ones first."""
    error = np.abs(ours.overall_predictions - ours.overall_labels)
    worst = np.argsort(-error, kind="stable")[:WORST]
    rest = np.setdiff1d(np.arange(ours.n), worst)
    best = rest[np.lexsort((-ours.overall_labels[rest], np.round(error[rest], 1)))][:BEST]

    def example(row: int) -> dict[str, Any]:
        columns = {name: frame[name][row].as_py() or "" for name in ("id", "title", "content", "source")}
        return {
            "id": columns["id"],
            "title": columns["title"][:EXCERPT],
            "excerpt": columns["content"][:EXCERPT],
            "source": columns["source"],
            "label": dict(zip(ours.dimensions, ours.labels[row].tolist(), strict=True)),
            "prediction": dict(zip(ours.dimensions, ours.predictions[row].tolist(), strict=True)),
            "overall_label": float(ours.overall_labels[row]),
            "overall_prediction": float(ours.overall_predictions[row]),
        }

    return {"best": [example(int(i)) for i in best], "worst": [example(int(i)) for i in worst]}


def tidy(value: Any) -> Any:
    """The same document with NaN as None and floats at 9 decimals, so that the last bits of a sum move no digest."""
    if isinstance(value, dict):
        return {key: tidy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return round(value, DECIMALS) if math.isfinite(value) else None
    return value
