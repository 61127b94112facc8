"""Near-duplicates across parts: the check that runs after every split, whatever placed the articles."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from distillery.components.articles.near_duplicates import fingerprint, jaccard, near_groups
from distillery.components.artifacts.split import FILES

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PAIRS = 100


class Pair(NamedTuple):
    """Two articles in different parts that are near-duplicates, by article digest."""

    left: str
    left_part: str
    right: str
    right_part: str
    jaccard: float


class Leak(RuntimeError):
    """A near-duplicate lies across the split: a fault in the split, never in its input."""


def cross_part_pairs(train: pa.Table, validation: pa.Table, test: pa.Table, threshold: float) -> list[Pair]:
    """Pairs in different parts with Jaccard >= threshold, the most alike first, at most MAX_PAIRS; empty if none leaks.

    Each table needs `article`, `title`, `content`. Articles linked over others count too (jaccard below the threshold).
    """
    frames = dict(zip(FILES, (train, validation, test), strict=True))
    articles = [article for frame in frames.values() for article in frame["article"].to_pylist()]
    parts = [part for part, frame in frames.items() for _ in range(frame.num_rows)]
    prints = fingerprint(
        [title for frame in frames.values() for title in frame["title"].to_pylist()],
        [content for frame in frames.values() for content in frame["content"].to_pylist()],
    )
    groups = near_groups(prints, threshold)
    pairs: list[Pair] = []
    for group in np.flatnonzero(np.bincount(groups, minlength=len(groups)) > 1):
        members = np.flatnonzero(groups == group).tolist()
        if len({parts[at] for at in members}) == 1:
            continue
        for left, right in combinations(members, 2):
            if parts[left] != parts[right]:
                alike = jaccard(prints.shingles[left], prints.shingles[right])
                pairs.append(Pair(articles[left], parts[left], articles[right], parts[right], alike))
        if len(pairs) > MAX_PAIRS * 100:
            break
    return sorted(pairs, key=lambda pair: (-pair.jaccard, pair.left, pair.right))[:MAX_PAIRS]


def refuse_leaks(train: pa.Table, validation: pa.Table, test: pa.Table, threshold: float) -> None:
    """Leak, naming the most alike pair, if any near-duplicate lies across the parts."""
    if pairs := cross_part_pairs(train, validation, test, threshold):
        worst = pairs[0]
        raise Leak(
            f"{len(pairs)} pairs of near-duplicates lie across the split, the worst at Jaccard "
            f"{worst.jaccard:.2f}: {worst.left[:12]} in {worst.left_part}, "
            f"{worst.right[:12]} in {worst.right_part}"
        )
