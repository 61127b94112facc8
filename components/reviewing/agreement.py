"""How far people, oracle and student agree: distances in points with bootstrap intervals, and Krippendorff's alpha.

Alpha is that for interval data with missing values (Krippendorff, Content Analysis, 4th edition 2019, chapter 12): 1 is
agreement, 0 is what chance would give. All intervals are percentile bootstraps over articles, seeded by what is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.artifacts.review import ORACLE, STUDENT, Alpha, RaterPair, Review, Reviewer
from distillery.components.reviewing.draw import Judged
from distillery.components.store import digest_json
from distillery.filters.verdict import weighted_mean

Floats = NDArray[np.float64]
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]  # by reviewer, article and dimension

PEOPLE: Final = "people"
RESAMPLES: Final = 2000
DECIMALS: Final = 6


def review_of(judged: Judged, scores: Scores) -> Review:
    """Return how far reviewers agree with one another, with the oracle and with the student.

    Args:
        judged: the test part.
        scores: what the reviewers gave; an article may lack a dimension, and a reviewer an article.

    Returns:
        The review.
    """
    names = sorted(scores)
    row_of = {article: row for row, article in enumerate(judged.articles())}
    people = {name: _matrix(judged, row_of, scores[name]) for name in names}
    raters = {PEOPLE: _mean(list(people.values())), **people, ORACLE: judged.labels, STUDENT: judged.predictions}
    wanted = [(PEOPLE, ORACLE), (PEOPLE, STUDENT), (ORACLE, STUDENT)]
    wanted += [(name, other) for name in names for other in (ORACLE, STUDENT)] if len(names) > 1 else []
    wanted += list(combinations(names, 2))
    seen = ~np.isnan(raters[PEOPLE]).any(axis=1)
    among = {**raters, ORACLE: np.where(seen[:, None], judged.labels, np.nan)}  # oracle and student where people looked
    pairs = [_pair(judged, left, right, among[left], among[right]) for left, right in wanted]
    cube = np.stack(list(people.values()))
    overall = np.stack([_overall(judged, matrix) for matrix in people.values()])
    return Review(
        filter=judged.filter.name,
        adapter=judged.adapter,
        test=judged.test,
        reviewers=[_reviewer(name, scores[name]) for name in names],
        pairs=[pair for pair in pairs if pair is not None],
        overall=_alpha(overall, "overall"),
        dimensions={name: _alpha(cube[:, :, at], name) for at, name in enumerate(judged.filter.dimensions)},
        scores={name: {article: dict(given) for article, given in scores[name].items()} for name in names},
    )


def alpha(ratings: Floats) -> float | None:
    """Return Krippendorff's alpha for interval data.

    Args:
        ratings: (raters, n) scores, NaN where a rater gave none.

    Returns:
        1 for agreement, 0 for what chance would give; None where fewer than two scores can be compared, or all are the same.
    """
    ratings = ratings[:, (~np.isnan(ratings)).sum(axis=0) > 1]
    known = ~np.isnan(ratings)
    counts = known.sum(axis=0)
    total = int(counts.sum())
    values = ratings[known]
    if total < 2 or np.ptp(values) == 0:
        return None
    filled = np.where(known, ratings, 0.0)
    # Squared differences of all pairs within an article: counts · Σx² − (Σx)², each pair counted once.
    within = (counts * (filled**2).sum(axis=0) - filled.sum(axis=0) ** 2) / (counts - 1)
    between = total * float((values**2).sum()) - float(values.sum()) ** 2
    return float(1 - (total - 1) * within.sum() / between)


def _alpha(ratings: Floats, name: str) -> Alpha:
    shared = ratings[:, (~np.isnan(ratings)).sum(axis=0) > 1]
    n, value = shared.shape[1], alpha(ratings)
    if value is None:
        return Alpha(n=n, value=None, interval=None)
    rng = np.random.default_rng(int(digest_json([name, np.nan_to_num(shared, nan=-1.0).tolist()])[:16], 16))
    found = [alpha(shared[:, rng.integers(0, n, n)]) for _ in range(RESAMPLES)]
    ends = np.quantile([each for each in found if each is not None] or [value], [0.025, 0.975])
    return Alpha(n=n, value=round(value, DECIMALS), interval=(round(float(ends[0]), DECIMALS), round(float(ends[1]), DECIMALS)))


def _pair(judged: Judged, left: str, right: str, one: Floats, other: Floats) -> RaterPair | None:
    """Return how far two raters lie from one another; None where they share no article."""
    both = ~np.isnan(one - other).any(axis=1)
    differences = (one - other)[both]
    if not len(differences):
        return None
    distances = np.abs(differences)
    rng = np.random.default_rng(int(digest_json([left, right, differences.round(DECIMALS).tolist()])[:16], 16))
    means = distances.mean(axis=1)[rng.integers(0, len(distances), (RESAMPLES, len(distances)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return RaterPair(
        left=left,
        right=right,
        n=len(distances),
        mae=round(float(distances.mean()), DECIMALS),
        interval=(round(float(low), DECIMALS), round(float(high), DECIMALS)),
        bias=round(float(differences.mean()), DECIMALS),
        dimensions={
            name: round(float(mae), DECIMALS)
            for name, mae in zip(judged.filter.dimensions, distances.mean(axis=0), strict=True)
        },
    )


def _matrix(judged: Judged, row_of: Mapping[str, int], given: Mapping[str, Mapping[str, float]]) -> Floats:
    """Return (n, D) scores of a reviewer, NaN where there is none."""
    matrix = np.full(judged.labels.shape, np.nan)
    for article, scores in given.items():
        for at, name in enumerate(judged.filter.dimensions):
            matrix[row_of[article], at] = scores.get(name, np.nan)
    return matrix


def _mean(matrices: Sequence[Floats]) -> Floats:
    """Return the mean of whoever gave a score, NaN where nobody did."""
    cube = np.stack(matrices)
    counts = (~np.isnan(cube)).sum(axis=0)
    mean: Floats = np.where(counts > 0, np.nansum(cube, axis=0) / np.maximum(counts, 1), np.nan)
    return mean


def _overall(judged: Judged, matrix: Floats) -> Floats:
    """Return (n,) weighted means, NaN where a dimension lacks a score."""
    whole = ~np.isnan(matrix).any(axis=1)
    overall = np.full(len(matrix), np.nan)
    overall[whole] = weighted_mean(judged.filter, matrix[whole]) if whole.any() else []
    return overall


def _reviewer(name: str, given: Mapping[str, Mapping[str, float]]) -> Reviewer:
    return Reviewer(name=name, articles=len(given), scores=sum(len(scores) for scores in given.values()))
