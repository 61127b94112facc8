"""How far reviewers agree about what is on-topic: exact agreement, and Krippendorff's alpha, each with a 95% interval.

Methods: the share of articles that all their reviewers marked alike has Wilson's interval (Wilson 1927), as all shares of a
calibration have. Alpha is Krippendorff's for nominal data and missing marks (Krippendorff, Content Analysis, 4th edition 2019,
chapter 12): 1 is agreement, 0 is what chance would give. Its interval is a percentile bootstrap over articles, as that of the
noise floor is, and at least as wide as Wilson's, since every resample of marks without one disagreement says 1. When
nearly all articles are of one kind, alpha is low however well reviewers agree; so the verdict goes by the share alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.articles import Article
from distillery.components.artifacts.calibration_marks import Agreement, Disputed, PairAgreement
from distillery.components.artifacts.rubric_calibration import REVIEW
from distillery.components.calibration.judge import Reason, Share
from distillery.components.calibration.marks import Review, majority
from distillery.components.calibration.marks_file import OFF, ON
from distillery.components.store import digest_json

LEAST: Final = 0.80  # share of articles marked alike; below it marks can't hold an oracle to 10% and 20%
RESAMPLES: Final = 2000

Counts = NDArray[np.int64]  # (n, 2): how many reviewers marked each article on-topic, and off-topic


def agreement(reviews: Sequence[Review], samples: Mapping[str, Sequence[Article]]) -> Agreement | None:
    """Return how far reviewers agree, over the articles of all samples.

    Args:
        reviews: what each reviewer said.
        samples: the articles by sample.

    Returns:
        The agreement; None where no article has two marks.

    Raises:
        InputError: two files of a reviewer contradict each other.
    """
    articles = [(sample, article) for sample, these in samples.items() for article in these]
    marks = [[_opinion(review.mark(article)) for review in reviews] for _, article in articles]
    shared = [at for at, row in enumerate(marks) if sum(mark is not None for mark in row) > 1]
    if not shared:
        return None
    counts = np.array([[marks[at].count(ON), marks[at].count(OFF)] for at in shared])
    disputed = [at for at in shared if {ON, OFF} <= set(marks[at])]
    share = _share(len(shared) - len(disputed), len(shared))
    low, high = share.interval
    value = alpha(counts)
    seed = digest_json(sorted(articles[at][1].digest for at in shared))
    return Agreement(
        n=share.n,
        same=share.wrong,
        share=round(share.wrong / share.n, 6),
        interval=(round(low, 6), round(high, 6)),
        alpha=None if value is None else round(value, 6),
        alpha_interval=_interval(counts, share, seed),
        pairs=[
            _pair(reviews[left].name, reviews[right].name, [(row[left], row[right]) for row in marks])
            for left, right in combinations(range(len(reviews)), 2)
        ],
        disputed=[
            Disputed(
                article=articles[at][1].digest,
                id=articles[at][1].id,
                sample=articles[at][0],
                marks={review.name: mark for review, mark in zip(reviews, marks[at], strict=True) if mark},
                applied=majority(marks[at]),
            )
            for at in disputed
        ],
    )


def _opinion(mark: str | None) -> str | None:
    """Return "on" or "off"; None for an article that a reviewer did not decide."""
    return mark if mark in (ON, OFF) else None


def _share(same: int, n: int) -> Share:
    """Return a share of articles marked alike; `Share` counts what it calls wrong, and its interval fits either."""
    return Share(same, n)


def _pair(left: str, right: str, marks: Sequence[tuple[str | None, str | None]]) -> PairAgreement:
    both = [pair for pair in marks if None not in pair]
    share = _share(sum(one == other for one, other in both), len(both))
    low, high = share.interval
    return PairAgreement(
        left=left,
        right=right,
        n=share.n,
        same=share.wrong,
        share=None if share.value is None else round(share.value, 6),
        interval=(round(low, 6), round(high, 6)),
    )


def alpha(counts: Counts) -> float | None:
    """Return Krippendorff's alpha for nominal data.

    Args:
        counts: (n, 2) marks of each article, on-topic and off-topic, two or more an article.

    Returns:
        1 for agreement, 0 for what chance would give; None where every mark is the same.
    """
    found = float(_alphas(counts[None])[0])
    return None if np.isnan(found) else found


def _alphas(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return alpha of each of k sets of (n, 2) counts, as (k,); NaN where every mark is the same."""
    marks = counts.sum(axis=2)
    total = marks.sum(axis=1)
    observed = (2 * counts[..., 0] * counts[..., 1] / (marks - 1)).sum(axis=1) / total
    expected = 2 * counts[..., 0].sum(axis=1) * counts[..., 1].sum(axis=1) / (total * (total - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = np.where(expected > 0, 1 - observed / expected, np.nan)
    return found


def _interval(counts: Counts, same: Share, seed: str) -> tuple[float, float] | None:
    """Return alpha's interval: by resampling articles, and at least as wide as Wilson's of the articles marked alike."""
    if alpha(counts) is None:
        return None
    rng = np.random.default_rng(int(seed[:16], 16))
    resampled = _alphas(counts[rng.integers(0, len(counts), (RESAMPLES, len(counts)))])
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    total = int(counts.sum())
    expected = 2 * int(counts[:, 0].sum()) * int(counts[:, 1].sum()) / (total * (total - 1))
    least, most = (1 - (1 - end) / expected for end in same.interval)
    return round(max(-1.0, min(low, least)), 6), round(min(1.0, max(high, most)), 6)


def disagreement(found: Agreement | None) -> list[Reason]:
    """Return REVIEW where reviewers disagree too often for their marks to judge an oracle.

    Args:
        found: how far they agree; None where no article has two marks.

    Returns:
        One reason, or none.
    """
    if found is None or found.share >= LEAST:
        return []
    return [Reason(REVIEW, f"{in_words(found)}; {LEAST:.0%} are the least: settle what belongs, then mark these again")]


def in_words(found: Agreement) -> str:
    """Return the agreement in one line, for people.

    Args:
        found: how far reviewers agree.

    Returns:
        Text.
    """
    low, high = found.interval
    text = f"reviewers agree on {found.same} of {found.n} articles (95%: {low:.0%}–{high:.0%})"
    if found.alpha is not None and found.alpha_interval is not None:
        least, most = found.alpha_interval
        text += f", Krippendorff's alpha {found.alpha:.2f} ({least:.2f}–{most:.2f})"
    return text
