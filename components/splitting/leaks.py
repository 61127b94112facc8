"""The check after every split: no near-duplicates lie in different parts, whatever assigned the articles."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.near_duplicates import Fingerprints, fingerprint, jaccard, near_groups
from distillery.components.artifacts.split import FILES, TEXTS

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.articles.table_file import TableFile

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
    return _across(articles, parts, near_groups(prints, threshold), prints)


def _across(articles: list[str], parts: list[str], groups: NDArray[np.int64], prints: Fingerprints) -> list[Pair]:
    """Return at most MAX_PAIRS pairs of one group in different parts, the most similar first."""
    order, pairs = np.argsort(groups, kind="stable"), list[Pair]()
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    for members in (each.tolist() for each in np.split(order, cuts)):
        if len({parts[row] for row in members}) == 1:
            continue
        for left, right in combinations(members, 2):
            if parts[left] != parts[right]:
                alike = jaccard(prints.shingles[left], prints.shingles[right])
                pairs.append(Pair(articles[left], parts[left], articles[right], parts[right], alike))
            if len(pairs) > MAX_PAIRS * 100:
                break
        if len(pairs) > MAX_PAIRS * 100:
            break
    return sorted(pairs, key=lambda pair: (-pair.jaccard, pair.left, pair.right))[:MAX_PAIRS]


def refuse_leaks(table: TableFile, rows: NDArray[np.int64], near: NDArray[np.int64], part: NDArray[np.str_]) -> None:
    """Raise if any near-duplicates lie in different parts.

    Args:
        table: the label table, whose texts are read only if there are any.
        rows: (n,) numbers of the rows that were assigned.
        near: (n,) any name of each one's group of near-duplicates.
        part: (n,) where each went.

    Raises:
        Leak: it names the most similar pair of the first groups.
    """
    number, parts = np.unique(near, return_inverse=True)[1], np.array(list(FILES))
    held = np.zeros((int(number.max(initial=-1)) + 1, len(parts)), dtype=bool)
    for at, name in enumerate(parts.tolist()):
        held[number[part == name], at] = True
    across = np.flatnonzero(held.sum(axis=1) > 1)
    if not len(across):
        return
    shown = np.flatnonzero(np.isin(number, across[:MAX_PAIRS]) & np.isin(part, parts))[: MAX_PAIRS * 10]
    texts = table.take(rows[shown], ("article", *TEXTS))
    prints = fingerprint(texts["title"].to_pylist(), texts["content"].to_pylist())
    pairs = _across(texts["article"].to_pylist(), part[shown].tolist(), number[shown], prints)
    where = f"{len(pairs)} pairs of near-duplicates lie across the split" + (
        f", in {len(across)} groups" if pairs[MAX_PAIRS - 1 :] else ""
    )
    worst = pairs[0]
    raise Leak(
        f"{where}, the worst at Jaccard {worst.jaccard:.2f}: {worst.left[:12]} in {worst.left_part}, "
        f"{worst.right[:12]} in {worst.right_part}"
    )
