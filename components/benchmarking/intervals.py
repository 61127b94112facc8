"""95% intervals by resampling articles: "had we drawn other articles of this kind, the figure could have been this".

Percentile bootstrap, 1,000 resamples, whole articles drawn with replacement, all dimensions and the verdict of an
article staying together. All figures of one benchmark share the same draws, so differences (student less incumbent,
student less baseline) are paired. Articles are taken as independent: where a few sources or stories make up the test
set, true uncertainty is larger. BCa would be a little closer on small skewed sets, at n times the cost for rank
correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1_000
CELLS = 4_000_000  # weights held at once (32 MB); larger test sets are done in several blocks


def draws(n: int, seed: str, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Blocks of (b, n) weights, `resamples` rows in all: how often each of n articles was drawn.

    seed: hexadecimal, the digest of the test set, so the same test set always gives the same intervals; the
    draws do not depend on the size of a block.
    """
    source = np.random.default_rng(int(seed, 16))
    rows = max(1, CELLS // max(n, 1))
    for first in range(0, resamples, rows):
        block = min(rows, resamples - first)
        drawn = source.integers(0, n, size=(block, n))
        drawn += np.arange(block)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=block * n).reshape(block, n).astype(np.float64)


def intervals(
    statistic: Callable[[Floats], dict[str, Floats]], n: int, seed: str, resamples: int = RESAMPLES
) -> dict[str, list[float] | None]:
    """[low, high] of each figure that `statistic` gives for (b, n) weights as (b,) values.

    A resample in which the figure is undefined is left out; None where more than half of them are.
    """
    if n == 0:
        return {}
    parts = [statistic(weights) for weights in draws(n, seed, resamples)]
    return {path: percentiles(np.concatenate([part[path] for part in parts])) for path in parts[0]}


def percentiles(samples: Floats) -> list[float] | None:
    """The middle 95% of (B,) samples, or None where most are NaN."""
    known = samples[~np.isnan(samples)]
    if 2 * len(known) < len(samples) or not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return [float(low), float(high)]


def widened(interval: list[float] | None, hits: int, total: int) -> list[float] | None:
    """The interval of a share, at least as wide as Wilson's: 1 of 1 is no certainty, as resampling has it."""
    from scipy.stats import binomtest

    if interval is None or total == 0:
        return None
    wilson = binomtest(hits, total).proportion_ci(method="wilson")
    return [min(interval[0], float(wilson.low)), max(interval[1], float(wilson.high))]
