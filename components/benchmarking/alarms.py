"""Checks for what makes every other figure meaningless: an ignored input, articles trained on, predictions that are NaN.

An alarm is a sentence in the benchmark, and gates reject on it; what is not even a prediction is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.benchmarking.metrics import Judged
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

IGNORED = 0.05  # share of the labels' spread below which predictions count as constant
REREAD = 0.05  # points by which a second reading of the same article may differ


def check_predictions(frame: pa.Table, dimensions: Sequence[str], predictions: Floats, adapter: str) -> None:
    """Raise unless there is a prediction, a finite number, for each article and dimension.

    Args:
        frame: n labelled articles.
        dimensions: D names.
        predictions: (n, D) expected.
        adapter: its digest, for the error.

    Raises:
        InputError: there are no articles, the shape is another one, or a prediction is not a number.
    """
    where = f"adapter {adapter[:12]}"
    if frame.num_rows == 0:
        raise InputError("there are no labelled articles to judge it on", where=where, hint="give at least one")
    if predictions.shape != (frame.num_rows, len(dimensions)):
        raise InputError(
            f"predictions have shape {predictions.shape}, expected {(frame.num_rows, len(dimensions))}",
            where=where,
            hint="train an adapter for the dimensions of this filter",
        )
    bad = np.argwhere(~np.isfinite(predictions))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"{len(bad)} predictions are not numbers, first {dimensions[column]} of article {frame['id'][int(row)].as_py()!r}",
            where=where,
            hint="train again with a lower learningRate or precision fp32",
        )


def ignores_input(judged: Judged) -> list[str]:
    """Return an alarm if the predictions hardly move in any dimension although the labels do.

    Args:
        judged: labels and predictions.

    Returns:
        One sentence or none.
    """
    spread, truth = judged.predictions.std(axis=0), judged.labels.std(axis=0)
    moving = truth > 0
    if judged.n < 2 or not moving.any() or (spread >= IGNORED * truth)[moving].any():
        return []
    share = float((spread[moving] / truth[moving]).max())
    return [f"predictor ignores its input: predictions spread at most {share:.1%} as much as labels in every dimension"]


def reread_differs(difference: float) -> list[str]:
    """Return an alarm if the same articles got other scores when they were read again in other places.

    Args:
        difference: the largest, in points.

    Returns:
        One sentence or none.
    """
    if difference <= REREAD:
        return []
    return [f"predictor ignores its input: the same articles read in another order differ by up to {difference:.2f}"]


def trained_on(train: pa.Table, frame: pa.Table) -> list[str]:
    """Return an alarm if articles are in the adapter's own training part.

    Args:
        train: the training part.
        frame: the articles that it is judged on.

    Returns:
        One sentence or none.
    """
    seen = count_seen(train, frame)
    return [f"{seen:,} of {frame.num_rows:,} articles were trained on: these figures flatter it"] if seen else []


def count_seen(train: pa.Table, frame: pa.Table) -> int:
    """Return how many articles are in a training part.

    Args:
        train: the training part.
        frame: the articles.

    Returns:
        Their number.
    """
    known = set(train["article"].to_pylist())
    return sum(article in known for article in frame["article"].to_pylist())
