"""Error against the number of labels, extrapolated: error = floor + scale × n^-power, fitted to a few sizes. Arithmetic alone.

A power law is what learning curves follow between the first labels and the oracle's own noise; four or five sizes tell its
floor badly, and the interval over resampled articles says how badly. It knows nothing of chance in training: that would take
several seeds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POWERS: Final = np.arange(0.1, 1.51, 0.05)
MATTERS: Final = 0.01  # points that are worth more labels
LITTLE: Final = 0.02  # points below which nobody would pay for them

Answer = Literal["yes", "no", "not decided"]


class Gain(NamedTuple):
    """What more labels would take off an error.

    Attributes:
        now: the error with all labels, in points.
        then: the error with more of them, as extrapolated.
        gain: the one less the other.
        interval: of the gain, 95%; None where it could not be worked out.
        helps: whether more labels would help: "yes" where the whole interval lies above 0.01 points, "no" where it lies below
            0.02.
        then_interval: of the error with more of them, 95%; None where it could not be worked out.
    """

    now: float
    then: float
    gain: float
    interval: tuple[float, float] | None
    helps: Answer
    then_interval: tuple[float, float] | None = None


def extrapolated(sizes: Floats, errors: Floats, at: float) -> Floats:
    """Return the error at another number of labels.

    Args:
        sizes: (k,) numbers of labels, two or more of them different.
        errors: (B, k) errors at these sizes, each row a curve of its own.
        at: the number of labels to tell the error for.

    Returns:
        (B,) errors by the curve with the least squares among those that never rise and never fall below 0.
    """
    best = np.full(len(errors), np.inf)
    found: Floats = errors.mean(axis=1)
    for power in POWERS:
        x = sizes**-power
        centred = x - x.mean()
        scale = np.maximum((errors - errors.mean(axis=1, keepdims=True)) @ centred / (centred @ centred), 0.0)
        floor = errors.mean(axis=1) - scale * x.mean()
        below = floor < 0
        scale[below], floor[below] = errors[below] @ x / (x @ x), 0.0
        rest = ((floor[:, None] + scale[:, None] * x - errors) ** 2).sum(axis=1)
        better = rest < best - 1e-15
        best[better], found[better] = rest[better], (floor + scale * at**-power)[better]
    return found


def gain_of(
    now: float, then: float, interval: tuple[float, float] | None, then_interval: tuple[float, float] | None = None
) -> Gain:
    """Return a gain with its answer.

    Args:
        now: the error with all labels.
        then: the error with more.
        interval: of the gain.
        then_interval: of the error with more.

    Returns:
        The gain.
    """
    helps: Answer = "not decided"
    if interval is not None:
        helps = "yes" if interval[0] > MATTERS else "no" if interval[1] < LITTLE else "not decided"
    return Gain(now, then, now - then, interval, helps, then_interval)
