"""Compares how scores are spread with a reference: each dimension, the overall score and the tiers decide; sources explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from distillery.components.artifacts.drift import Sample
from distillery.components.artifacts.histograms import WIDTH
from distillery.components.drift.statistics import (
    ALPHA,
    EXPECTED,
    LARGE,
    MIN_ARTICLES,
    Shift,
    adjusted,
    shift,
    stability_index,
)

OVERALL: Final = "overall"
TIERS: Final = "tiers"
SHOWN: Final = 5


class Feature(NamedTuple):
    """What became of one dimension, of the overall score, or of the tiers.

    Attributes:
        name: of a dimension, OVERALL or TIERS.
        psi: population stability index.
        p: probability by the chi-square test alone.
        adjusted: the same after correction for all features and looks.
        before: mean of the reference in points, by the middles of bins; None for tiers.
        now: mean of the new articles.
        drifted: True if the index is LARGE and the corrected probability below ALPHA.
    """

    name: str
    psi: float
    p: float
    adjusted: float
    before: float | None
    now: float | None
    drifted: bool


class Mix(NamedTuple):
    """Where the new articles come from, which explains a drift and decides nothing.

    Attributes:
        psi: population stability index over the names; of names with few articles together.
        more: names whose share grew most: name, share of the reference, share of the new articles.
    """

    psi: float
    more: list[tuple[str, float, float]]


class Comparison(NamedTuple):
    """What a look found.

    Attributes:
        n: articles of the new scores.
        reference: articles of the reference.
        enough: False where either set has fewer than MIN_ARTICLES: then nothing is said to have drifted.
        features: all of them, the largest index first.
        mix: by "source" and "language".
    """

    n: int
    reference: int
    enough: bool
    features: list[Feature]
    mix: dict[str, Mix]

    @property
    def drifted(self) -> list[Feature]:
        """Return the features that drifted, the largest index first."""
        return [feature for feature in self.features if feature.drifted]


def compare(reference: Sample, now: Sample, look: int) -> Comparison:
    """Compare scores with a reference.

    Args:
        reference: how the reference is spread.
        now: how the new scores are spread, in the same dimensions.
        look: number of the look at this adapter, from 1.

    Returns:
        What was found.
    """
    n, m = reference.spread.scored, now.spread.scored
    enough = min(n, m) >= MIN_ARTICLES
    bins = {
        **{name: (counts, now.spread.dimensions[name]) for name, counts in reference.spread.dimensions.items()},
        OVERALL: (reference.spread.overall, now.spread.overall),
    }
    names = list(dict.fromkeys([*reference.tiers, *now.tiers]))
    tiers = tuple([sample.tiers.get(name, 0) for name in names] for sample in (reference, now))
    shifts = {name: shift(*pair) for name, pair in bins.items()} | {TIERS: shift(*tiers)}
    corrected = adjusted([each.p for each in shifts.values()], look)
    features = [
        _feature(name, each, at, bins.get(name), enough=enough)
        for (name, each), at in zip(shifts.items(), corrected, strict=True)
    ]
    features.sort(key=lambda feature: -feature.psi)
    mix = {
        "source": _mix(reference.spread.sources, n, now.spread.sources, m),
        "language": _mix(reference.spread.languages, n, now.spread.languages, m),
    }
    return Comparison(m, n, enough, features, mix)


def _feature(
    name: str, found: Shift, corrected: float, bins: tuple[Sequence[int], Sequence[int]] | None, *, enough: bool
) -> Feature:
    before, now = (_mean(bins[0]), _mean(bins[1])) if bins else (None, None)
    return Feature(name, found.psi, found.p, corrected, before, now, enough and found.psi >= LARGE and corrected < ALPHA)


def _mean(counts: Sequence[int]) -> float | None:
    total = sum(counts)
    return sum((place + 0.5) * WIDTH * count for place, count in enumerate(counts)) / total if total else None


def _mix(reference: Mapping[str, int], n: int, now: Mapping[str, int], m: int) -> Mix:
    """Compare counts by name; names of which few articles are expected count together with those that nobody named."""
    if not n or not m:
        return Mix(0.0, [])
    names = sorted({*reference, *now})
    least = EXPECTED * (n + m) / min(n, m)
    large = [name for name in names if reference.get(name, 0) + now.get(name, 0) >= least]
    pairs = [(reference.get(name, 0), now.get(name, 0)) for name in large]
    rest = (n - sum(a for a, _ in pairs), m - sum(b for _, b in pairs))
    columns = [*pairs, rest] if sum(rest) else pairs
    grown = sorted((a / n - b / m, name) for name, (a, b) in zip(large, pairs, strict=True))
    more = [(name, reference.get(name, 0) / n, now.get(name, 0) / m) for fall, name in grown[:SHOWN] if fall < 0]
    return Mix(stability_index(*zip(*columns, strict=True)), more)
