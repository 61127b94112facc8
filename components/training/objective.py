"""What a training minimises: the loss on raw scores, how much each dimension and article counts, and what ends it early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from distillery.filters.spec import Training

Floats = NDArray[np.float64]

HUBER: Final = 1.0  # points: errors beyond it count linearly
LARGEST: Final = 10.0  # weight of an article, as a multiple of the smallest one's
LOSSES: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": lambda p, y: functional.mse_loss(p, y, reduction="sum"),
    "mae": lambda p, y: functional.l1_loss(p, y, reduction="sum"),
    "huber": lambda p, y: functional.huber_loss(p, y, reduction="sum", delta=HUBER),
    "ordinal": lambda p, y: ordinal(p, y).sum(),
}
EACH: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "mse": lambda p, y: functional.mse_loss(p, y, reduction="none"),
    "mae": lambda p, y: functional.l1_loss(p, y, reduction="none"),
    "huber": lambda p, y: functional.huber_loss(p, y, reduction="none", delta=HUBER),
    "ordinal": lambda p, y: ordinal(p, y),
}


def ordinal(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return a loss by thresholds: for each of 0.5, 1.5 … 9.5, does the score lie above it?

    It is the proportional-odds model with fixed thresholds: a raw score p says "above t" with chance σ(p − t), and the loss
    is the mean cross-entropy over the thresholds. A label between whole scores counts in shares: 3.2 is above 3.5 to 0.2.

    Args:
        predictions: raw scores, of any shape.
        labels: scores 0-10, of the same shape.

    Returns:
        The loss of each score, of the same shape.
    """
    thresholds = torch.arange(0.5, 10.0, 1.0, dtype=predictions.dtype, device=predictions.device)
    logits = predictions[..., None] - thresholds
    above = (labels[..., None] - thresholds + 0.5).clamp(0.0, 1.0)
    return functional.binary_cross_entropy_with_logits(logits, above, reduction="none").mean(-1)


def loss_weights(training: Training, labels: Floats, dimensions: Sequence[float]) -> Floats | None:
    """Return how much each score of each article counts in the loss; their mean is 1.

    Args:
        training: the filter's training section.
        labels: (n, D) scores of the training articles, 0-10.
        dimensions: the filter's weights of the dimensions.

    Returns:
        (n, D) weights; None where all count alike.
    """
    if training.dimensionWeights == "equal" and training.sampleWeights == "equal":
        return None
    found = np.ones_like(labels, dtype=np.float64)
    if training.dimensionWeights == "filter":
        found *= np.asarray(dimensions, dtype=np.float64)
    if training.sampleWeights == "balanced":
        found *= balanced(labels)[:, None]
    mean: float = found.mean()
    return found / mean


def balanced(labels: Floats) -> Floats:
    """Return weights by which each whole mean score counts alike, however many articles have it.

    Args:
        labels: (n, D) scores, 0-10.

    Returns:
        (n,) weights, the largest at most LARGEST times the smallest.
    """
    strata = np.rint(labels.mean(axis=1)).astype(np.int64)
    counts = np.bincount(strata, minlength=11)
    weights = 1.0 / counts[strata]
    capped: Floats = np.minimum(weights, weights.min() * LARGEST)
    return capped


def stop_error(training: Training, raw: Floats, labels: Floats, dimensions: Sequence[float]) -> float | None:
    """Return the validation error by which an epoch is kept, where it is not the MAE over all dimensions.

    Args:
        training: the filter's training section.
        raw: (n, D) predictions.
        labels: (n, D) scores.
        dimensions: the filter's weights of the dimensions.

    Returns:
        Points, or 1 less a rank correlation; None for the MAE.
    """
    if training.stopOn == "mae":
        return None
    clipped = np.clip(raw, 0, 10)
    difference = clipped - labels
    if training.stopOn == "rmse":
        return float(np.sqrt((difference**2).mean()))
    if training.stopOn == "dimension":
        return float(np.abs(difference).mean(axis=0).max())
    weights = np.asarray(dimensions, dtype=np.float64)
    share = weights / weights.sum()
    if training.stopOn == "spearman":
        from scipy.stats import rankdata

        ranks = [rankdata(values @ share) for values in (clipped, labels)]
        ours, theirs = (each - each.mean() for each in ranks)
        size = float(np.sqrt((ours**2).sum() * (theirs**2).sum()))
        return 1.0 - float(ours @ theirs) / size if size else 1.0  # all alike rank nothing
    return float(np.abs(difference @ share).mean())
