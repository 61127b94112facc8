"""Are two sets of counts of one distribution? A population stability index, a chi-square test, and what corrects for many.

Both figures are of binned counts, so a corpus of any size costs the same. Neighbouring bins are merged until each holds a
tenth of all articles and at least five are expected of either set, which the test's approximation needs. Merging goes by the
two sets together and not by the reference alone: whichever set an article is in, the bins are the same, so the test keeps
its level.

Many looks: look k at an adapter is granted 6 / (π² k²) of ALPHA, which adds up to ALPHA over all looks there will ever be, and
within a look Holm's procedure shares that out among the features. So the chance of any false alarm in an adapter's life is
at most ALPHA, however the features and the looks depend on one another. The price: later looks see only what is plainer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

ALPHA: Final = 0.01  # chance of a false alarm in all looks at an adapter together
LARGE: Final = 0.2  # population stability index from which a shift counts; 0.1 to 0.2 is commonly called moderate
MIN_ARTICLES: Final = 100  # of either set; a look at fewer says nothing
GROUPS: Final = 10  # bins after merging, at most
EXPECTED: Final = 5.0
PSEUDO: Final = 0.5  # added to each count, so that an empty bin has a logarithm


class Shift(NamedTuple):
    """How far two sets of counts are apart.

    Attributes:
        psi: population stability index, 0 for equal shares.
        p: probability of a difference at least as large if both were of one distribution.
    """

    psi: float
    p: float


def merged(reference: Sequence[int], now: Sequence[int]) -> list[range]:
    """Return which neighbouring bins are taken as one.

    Args:
        reference: counts of the reference.
        now: counts of the new articles, in the same bins.

    Returns:
        Ranges of bins, in order, that cover all of them; at most GROUPS.
    """
    n, m = sum(reference), sum(now)
    if not n or not m:
        return [range(len(reference))]
    least = max((n + m) / GROUPS, EXPECTED * (n + m) / min(n, m))
    groups, start, held = list[range](), 0, 0
    for place, (a, b) in enumerate(zip(reference, now, strict=True)):
        held += a + b
        if held >= least:
            groups.append(range(start, place + 1))
            start, held = place + 1, 0
    if not groups:
        return [range(len(reference))]
    return [*groups[:-1], range(groups[-1].start, len(reference))]


def grouped(counts: Sequence[int], groups: Sequence[range]) -> list[int]:
    """Return counts by groups of bins.

    Args:
        counts: by bin.
        groups: what `merged` returned.

    Returns:
        Counts by group.
    """
    return [sum(counts[place] for place in group) for group in groups]


def shares(counts: Sequence[int]) -> list[float]:
    """Return the share of each count, half an article added to each so that none is 0.

    Args:
        counts: of articles.

    Returns:
        Shares that add up to 1.
    """
    total = sum(counts) + PSEUDO * len(counts)
    return [(count + PSEUDO) / total for count in counts]


def stability_index(reference: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two sets of counts, as they are.

    Args:
        reference: counts of the reference.
        now: counts of the new articles, in the same bins.

    Returns:
        Sum of (now - reference) · ln(now / reference) over the shares.
    """
    pairs = zip(shares(reference), shares(now), strict=True)
    return sum((b - a) * math.log(b / a) for a, b in pairs)


def shift(reference: Sequence[int], now: Sequence[int]) -> Shift:
    """Compare two sets of counts in bins that have an order.

    Args:
        reference: counts of the reference.
        now: counts of the new articles, in the same bins.

    Returns:
        Index and probability; 0 and 1 where all articles are in one bin.
    """
    groups = merged(reference, now)
    if len(groups) == 1:
        return Shift(0.0, 1.0)
    from scipy.stats import chi2_contingency

    a, b = grouped(reference, groups), grouped(now, groups)
    return Shift(stability_index(a, b), float(chi2_contingency([a, b], correction=False).pvalue))


def adjusted(ps: Sequence[float], look: int) -> list[float]:
    """Correct probabilities for all features of a look and for all looks.

    Args:
        ps: probability of each feature.
        look: number of the look, from 1.

    Returns:
        Corrected probabilities in the same order, to be compared with ALPHA.
    """
    spent = math.pi**2 * look**2 / 6
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    corrected, worst = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):  # Holm: the smallest of m times m, the next times m - 1, and never falling
        worst = max(worst, min(1.0, ps[place] * (len(ps) - rank) * spent))
        corrected[place] = worst
    return corrected
