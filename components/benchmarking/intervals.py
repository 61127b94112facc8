"""95% intervals by resampling articles: "had we drawn other articles of this kind, the figure could have been this".

Percentile bootstrap, 1,000 resamples, whole articles drawn with replacement, all dimensions and the verdict of an
article staying together. All figures of one benchmark share the same draws, so differences (student less incumbent,
student less baseline) are paired. Articles are taken as independent: where a few sources or stories make up the test
set, true uncertainty is larger. BCa would be a little closer on small skewed sets, at n times the cost for rank
correlation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Range = tuple[float, float] | None

RESAMPLES = 1_000
ENDS = (2.5, 97.5)  # percent
CELLS = 4_000_000  # weights held at once (32 MB); larger test sets are done in several blocks


def draws(n: int, seed: str, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """Yield blocks of weights: how often each of n articles was drawn.

    Args:
        n: articles.
        seed: hexadecimal, the digest of the test set, so the same test set always gives the same intervals.
        resamples: rows of all blocks together; the draws do not depend on the size of a block.

    Yields:
        (b, n) weights.
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
) -> dict[str, Range]:
    """Return the 95% interval of each figure.

    Args:
        statistic: returns figures (b,) by path for weights (b, n).
        n: articles.
        seed: hexadecimal, as for `draws`.
        resamples: how many.

    Returns:
        Lower and upper end by path. Resamples in which a figure is undefined are left out; None where more than half of them
        are.
    """
    if n == 0:
        return {}
    blocks = [statistic(weights) for weights in draws(n, seed, resamples)]
    return {path: percentiles(np.concatenate([block[path] for block in blocks])) for path in blocks[0]}


def percentiles(samples: Floats) -> Range:
    """Return the ends of the middle 95% of samples; None where most are NaN, or an end is infinite.

    Args:
        samples: (B,) values of a figure.

    Returns:
        Lower and upper end.
    """
    known = np.sort(samples[~np.isnan(samples)])
    if 2 * len(known) < len(samples) or not len(known):
        return None
    for percent in ENDS:  # between infinities nothing can be interpolated: their difference is no number
        place = percent / 100 * (len(known) - 1)
        if not np.isfinite(known[[math.floor(place), math.ceil(place)]]).all():
            return None
    low, high = np.percentile(known, ENDS)
    return float(low), float(high)


def widened(interval: Range, hits: int, total: int) -> Range:
    """Return the interval of a share, at least as wide as Wilson's: 1 of 1 is no certainty, though every resample says so.

    Args:
        interval: by resampling.
        hits: articles that count.
        total: articles of which they are a share.

    Returns:
        Lower and upper end; None where there is none, or no article to take a share of.
    """
    from scipy.stats import binomtest

    if interval is None or total == 0:
        return None
    wilson = binomtest(hits, total).proportion_ci(method="wilson")
    return min(interval[0], float(wilson.low)), max(interval[1], float(wilson.high))
