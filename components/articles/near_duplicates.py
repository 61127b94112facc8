"""Copies and near-duplicates among articles: every pair is found, not just most.

Two articles are near-duplicates if the Jaccard similarity of their sets of word 3-grams (shingles) reaches a threshold. Pages
that hardly differ from one another are first gathered around one of them (`close_copies`); the rest are compared where they
share a rare shingle (`near_pairs`). Compared with MinHash LSH this misses no pair and needs no seed: "no near-duplicate crosses
the split" is a fact and not a likelihood.

Texts of every length use 3-grams, since sets of different n-grams can't be compared, and since a changed word costs a short
text fewer shingles that way. Characters of scripts written without spaces count as words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from distillery.components.articles.close_copies import Clusters, gather, reach
from distillery.components.articles.near_pairs import common_share, pairs
from distillery.components.articles.shingle_sets import Hashes, Indices, ShingleSets
from distillery.components.articles.word_hashes import word_hashes

SHINGLE: Final = 3
MAX_WORDS: Final = 20_000  # per article; two articles that share as much are the same article
MAX_CHARACTERS: Final = MAX_WORDS * 40  # cut before it is normalised: a text of 50 MB costs no more than one of 0.8


@dataclass(frozen=True)
class Fingerprints:
    """What n articles are compared by.

    Attributes:
        sequence: (n,) hash of each article's words in their order.
        shingles: n sorted arrays of distinct shingle hashes.
    """

    sequence: Hashes
    shingles: ShingleSets


class Fingerprinting:
    """Makes the fingerprints of articles that come some at a time."""

    def __init__(self) -> None:
        self._sequence, self._shingles = list[Hashes](), ShingleSets()

    def add(self, titles: Sequence[str], contents: Sequence[str]) -> None:
        """Add some articles.

        Args:
            titles: m titles.
            contents: m contents.
        """
        texts = (f"{title}\n{content[:MAX_CHARACTERS]}" for title, content in zip(titles, contents, strict=True))
        self.add_words([each[:MAX_WORDS] for each in word_hashes(texts).split()])

    def add_words(self, numbers: Sequence[Hashes]) -> None:
        """Add some articles by their words.

        Args:
            numbers: for each article the hashes of its words, title before content, at most MAX_WORDS.
        """
        digests = (hashlib.blake2b(each.tobytes(), digest_size=8).digest() for each in numbers)
        self._sequence.append(np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64))
        sets, sizes = _shingle_sets(numbers)
        self._shingles.append(sets, sizes)

    def prints(self) -> Fingerprints:
        """Return the fingerprints of all articles so far.

        Returns:
            The fingerprints, which depend on neither process, machine nor the order of the articles.
        """
        return Fingerprints(np.concatenate([np.zeros(0, np.uint64), *self._sequence]), self._shingles)


def fingerprint(titles: Sequence[str], contents: Sequence[str]) -> Fingerprints:
    """Hash the words of n articles, title before content.

    Args:
        titles: n titles.
        contents: n contents.

    Returns:
        Their fingerprints, which depend on neither process, machine nor the order of the articles.
    """
    making = Fingerprinting()
    for start in range(0, len(titles), 512):
        making.add(titles[start : start + 512], contents[start : start + 512])
    if len(titles) != len(contents):
        raise ValueError("as many contents as titles are needed")
    return making.prints()


def _shingle_sets(numbers: Sequence[Hashes]) -> tuple[Hashes, Indices]:
    """Return the sorted distinct hashes of each article's runs of SHINGLE words, article by article, and how many each has.

    A shorter text is one shingle, an empty one has none.
    """
    lengths = np.array([len(each) for each in numbers], dtype=np.int64)
    flat = np.concatenate([np.zeros(0, np.uint64), *numbers])
    counts = np.where(lengths < SHINGLE, np.minimum(lengths, 1), lengths - SHINGLE + 1)
    ends = np.cumsum(lengths)
    first = np.repeat(ends - lengths, counts) + _places(counts)  # the first word of each shingle
    last = np.repeat(ends, counts)
    rolled = np.zeros(len(first), dtype=np.uint64)
    for offset in range(SHINGLE):
        inside = first + offset < last
        whole = inside.all()
        word = flat[first + offset] if whole else flat[np.where(inside, first + offset, first)]
        turned = (rolled ^ word) * np.uint64(0x9E3779B97F4A7C15)  # wraps, on purpose
        turned ^= turned >> np.uint64(29)
        rolled = turned if whole else np.where(inside, turned, rolled)
    starts = np.cumsum(counts) - counts
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        rolled[start : start + count].sort()
    new = np.ones(len(rolled), dtype=bool)
    new[1:] = rolled[1:] != rolled[:-1]
    new[starts[counts > 0]] = True
    owner = np.repeat(np.arange(len(numbers)), counts)
    return rolled[new], np.bincount(owner[new], minlength=len(numbers))


def _places(counts: Indices) -> Indices:
    """Return 0, 1, … up to each count, one after the other."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Return the Jaccard similarity of two sets of shingles.

    Args:
        left: sorted distinct hashes.
        right: sorted distinct hashes.

    Returns:
        The share of common shingles, 0 to 1; 0 for an empty text, which is a copy of nothing.
    """
    return common_share(left, right)


def first_rows(groups: Indices | Hashes) -> Indices:
    """Name each group by its first row.

    Args:
        groups: (n,) any name of each row's group.

    Returns:
        (n,) the first row of each row's group.
    """
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def exact_groups(prints: Fingerprints) -> Indices:
    """Group articles with the same words in the same order.

    Args:
        prints: fingerprints of n articles.

    Returns:
        (n,) the first row of each article's group; an article without words is alone.
    """
    groups = first_rows(prints.sequence)
    return np.where(prints.shingles.sizes == 0, np.arange(len(groups)), groups)


def near_groups(prints: Fingerprints, threshold: float) -> Indices:
    """Group articles that are linked, directly or through others, by a similarity at or above the threshold.

    Args:
        prints: fingerprints of n articles.
        threshold: a Jaccard similarity, above 0 and at most 1.

    Returns:
        (n,) the first row of each article's group.

    Raises:
        ValueError: the threshold is none.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a Jaccard threshold lies in (0, 1], not at {threshold}")
    exact, sets = exact_groups(prints), prints.shingles
    alone = exact == np.arange(len(exact))  # one article per exact copy is compared
    links = Links(len(exact))
    clusters: Clusters = gather(sets, alone, threshold)
    for leader, followers in clusters.followers.items():
        for row in followers.tolist():
            links.join(leader, row)
    for left, right in pairs(sets, alone & ~clusters.following, threshold):
        links.compare(sets, left, right, threshold)
    reach(sets, alone & ~clusters.following, clusters, threshold, links)
    return links.roots()[exact]


class Links:
    """Which rows belong together: a forest whose roots are the first rows of their groups."""

    def __init__(self, count: int) -> None:
        self._root = np.arange(count)

    def roots(self, rows: Indices | None = None) -> Indices:
        """Return the first row of the groups of rows.

        Args:
            rows: the rows; None for all.

        Returns:
            As many rows.
        """
        rows = np.arange(len(self._root)) if rows is None else rows
        while not np.array_equal(above := self._root[self._root[rows]], self._root[rows]):
            self._root[rows] = above
        return self._root[rows]

    def root(self, row: int) -> int:
        """Return the first row of a row's group.

        Args:
            row: the row.

        Returns:
            Another row, or itself.
        """
        while (above := int(self._root[row])) != row:
            row = above
        return row

    def join(self, one: int, other: int) -> None:
        """Make one group of those of two rows.

        Args:
            one: a row.
            other: another row.
        """
        first, second = self.root(one), self.root(other)
        self._root[max(first, second)] = min(first, second)

    def compare(self, sets: ShingleSets, left: Indices, right: Indices, threshold: float) -> None:
        """Compare pairs that are not linked yet, and link those that are similar enough.

        Args:
            sets: the sets of all rows.
            left: (m,) rows.
            right: (m,) rows that they may be similar to.
            threshold: a Jaccard similarity.
        """
        while len(left):
            ours, theirs = self.roots(left), self.roots(right)
            apart = ours != theirs  # a pair that is linked already needs no comparison
            left, right, ours, theirs = left[apart], right[apart], ours[apart], theirs[apart]
            # one comparison per pair of groups and round: a hundred pages of one text link up without five thousand
            _, pick = np.unique(ours * len(self._root) + theirs, return_index=True)
            for pair in pick.tolist():
                one, other = int(left[pair]), int(right[pair])
                if self.root(one) != self.root(other) and jaccard(sets[one], sets[other]) >= threshold - 1e-12:
                    self.join(one, other)
            keep = np.ones(len(left), dtype=bool)
            keep[pick] = False
            left, right = left[keep], right[keep]
