"""Figures of several sides on the same articles, with paired intervals.

All sides are measured on the same resampled articles, by the formulas of the benchmark, so that an article that is hard for
both does not blur the difference. Rows are not corrected for being many: of twenty that are even, one looks decisive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.benchmarking.intervals import Range, draws, percentiles
from distillery.components.benchmarking.metrics import Judged, measure
from distillery.components.comparing.document import Delta, FigureRow, Judgement

Floats = NDArray[np.float64]

HIGH: Final = ("accuracy", "spearman", "agreement", "recall", "precision", "recall_or_better", "precision_or_better")
NEITHER: Final = ("bias", "compression", "score_compression")
FEW: Final = 10  # articles of a share, below which no difference of shares is decisive: resampling can't see what it never drew


def judgement(path: str, interval: Range, *, fewest: int | None = None) -> Judgement:
    """Return what a paired interval says of a side held against another.

    Args:
        path: of the figure.
        interval: 95%, of the side less the other.
        fewest: articles that the share is of, on the side that has fewer; None for a figure that is no share.

    Returns:
        "better" or "worse" where the interval lies on one side of zero, else "not decisive"; "" for a figure that has no
        direction.
    """
    last = path.rpartition(".")[2]
    if last in NEITHER:
        return ""
    if interval is None or interval[0] <= 0 <= interval[1] or (fewest is not None and fewest < FEW):
        return "not decisive"
    rises = interval[0] > 0
    return "better" if rises == (last in HIGH or last == "tier_agreement") else "worse"


def paired(sides: Sequence[Judged], seed: str, wanted: Callable[[str], bool]) -> list[FigureRow]:
    """Return figures of all sides, with the difference of each to the first.

    Args:
        sides: labels and predictions of the same n articles, in the same order.
        seed: hexadecimal, of the draws.
        wanted: of the path of a figure, True for those to be returned.

    Returns:
        A row for each figure that all sides have.
    """
    points = [measure(side) for side in sides]
    paths = [path for path in points[0] if wanted(path) and all(path in point for point in points)]
    samples: list[dict[str, list[Floats]]] = [{path: [] for path in paths} for _ in sides]
    for weights in draws(sides[0].n, seed):
        for side, kept in zip(sides, samples, strict=True):
            measured = measure(side, weights)
            for path in paths:
                kept[path].append(measured[path])
    rows = []
    for path in paths:
        values = [float(point[path][0]) for point in points]
        drawn = [np.concatenate(kept[path]) for kept in samples]
        deltas = []
        for i in range(1, len(sides)):
            interval = percentiles(drawn[i] - drawn[0])
            fewest = _fewest(path, sides[0], sides[i])
            deltas.append(
                Delta(
                    difference=values[i] - values[0],
                    interval=interval,
                    judgement=judgement(path, interval, fewest=fewest),
                )
            )
        rows.append(FigureRow(path=path, values=list(values), deltas=deltas))
    return rows


def _fewest(path: str, *sides: Judged) -> int | None:
    """Return of how many articles a share of a tier is, on the side that has fewest; None for another figure."""
    parts = path.split(".")
    if parts[0] != "tiers":
        return None
    counts = []
    for side in sides:
        place = list(side.tiers).index(parts[1])
        tiers = side.tier_labels if parts[2].startswith("recall") else side.tier_predictions
        counts.append(int((tiers <= place if parts[2].endswith("_or_better") else tiers == place).sum()))
    return min(counts)
