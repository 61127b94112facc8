"""The check after every split: no near-duplicates lie in different parts, whatever assigned the articles."""

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
    """Near-duplicates lie in different parts: a fault of the split, never of its input."""


def cross_part_pairs(train: pa.Table, validation: pa.Table, test: pa.Table, threshold: float) -> list[Pair]:
    """Find near-duplicates that lie in different parts.

    Args:
        train: articles with `article`, `title` and `content`.
        validation: as `train`.
        test: as `train`.
        threshold: a Jaccard similarity, above 0 and at most 1.

    Returns:
        At most MAX_PAIRS pairs, the most similar first; articles linked through others count, too, though their own
        similarity may be below the threshold.
    """
    tables = dict(zip(FILES, (train, validation, test), strict=True))
    articles = [article for table in tables.values() for article in table["article"].to_pylist()]
    parts = [part for part, table in tables.items() for _ in range(table.num_rows)]
    prints = fingerprint(
        [title for table in tables.values() for title in table["title"].to_pylist()],
        [content for table in tables.values() for content in table["content"].to_pylist()],
    )
    groups = near_groups(prints, threshold)
    pairs: list[Pair] = []
    for group in np.flatnonzero(np.bincount(groups, minlength=len(groups)) > 1):
        members = np.flatnonzero(groups == group).tolist()
        if len({parts[row] for row in members}) == 1:
            continue
        for left, right in combinations(members, 2):
            if parts[left] != parts[right]:
                alike = jaccard(prints.shingles[left], prints.shingles[right])
                pairs.append(Pair(articles[left], parts[left], articles[right], parts[right], alike))
        if len(pairs) > MAX_PAIRS * 100:
            break
    return sorted(pairs, key=lambda pair: (-pair.jaccard, pair.left, pair.right))[:MAX_PAIRS]


def refuse_leaks(train: pa.Table, validation: pa.Table, test: pa.Table, threshold: float) -> None:
    """Raise if any near-duplicates lie in different parts.

    Args:
        train: articles with `article`, `title` and `content`.
        validation: as `train`.
        test: as `train`.
        threshold: a Jaccard similarity, above 0 and at most 1.

    Raises:
        Leak: it names the most similar pair.
    """
    if pairs := cross_part_pairs(train, validation, test, threshold):
        worst = pairs[0]
        raise Leak(
            f"{len(pairs)} pairs of near-duplicates lie across the split, the worst at Jaccard "
            f"{worst.jaccard:.2f}: {worst.left[:12]} in {worst.left_part}, "
            f"{worst.right[:12]} in {worst.right_part}"
        )
