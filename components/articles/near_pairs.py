"""Pairs of sets that may reach a Jaccard similarity, by prefix filtering: each pair that does is among them.

If two sets are that similar, the rarest members of one include some of the rarest of the other, in whatever order "rarest" is
defined as long as it is the same for all. So members are ordered by a table of counts in which several may share a place: it is
of fixed size, and a place that was met once is a member that only one set has. Members that qualify go to the disk by ranges of
their hashes, so that memory holds one range, the members that several sets share, and one block of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from distillery.components.articles.shingle_sets import Block, Hashes, Indices, ShingleSets, Spill

RANGES: Final = 16  # of hashes, by their first four bits
LEAST_PLACES, MOST_PLACES = 16, 28  # powers of two
SORTED: Final = 256  # rows that are sorted together: row and count fit two bytes, which numpy sorts in linear time
PRODUCTS: Final = 4_000_000  # shared members of one block of pairs
EPSILON: Final = 1e-9


def common_share(left: Hashes, right: Hashes) -> float:
    """Return the Jaccard similarity of two sets.

    Args:
        left: sorted distinct hashes.
        right: sorted distinct hashes.

    Returns:
        The share of common members, 0 to 1; 0 for an empty set.
    """
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common) if common else 0.0


def prefix_sizes(sizes: Indices, threshold: float) -> Indices:
    """Return how many members of a set, whichever they are, include one of any set that is similar enough.

    Args:
        sizes: members of each set.
        threshold: a Jaccard similarity.

    Returns:
        As many counts.
    """
    held: Indices = np.ceil(threshold * sizes - EPSILON).astype(np.int64)
    return sizes - held + 1


class Counts:
    """How often members occur in sets, up to 255; several may share a place of the table."""

    def __init__(self, sets: ShingleSets, wanted: NDArray[np.bool_]) -> None:
        """Count the members of sets.

        Args:
            sets: the sets.
            wanted: (n,) which of them.
        """
        total = int(sets.sizes[wanted].sum())
        bits = min(max(total.bit_length() + 1, LEAST_PLACES), MOST_PLACES)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(2**bits, dtype=np.uint8)
        for block in sets.blocks(wanted):
            ordered = np.sort((block.flat >> self._shift).astype(np.uint32))
            starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
            places, met = ordered[starts], np.diff(np.append(starts, len(ordered)))
            self._table[places] = np.minimum(self._table[places] + met, 255)

    def of(self, flat: Hashes) -> NDArray[np.uint8]:
        """Return the counts of members.

        Args:
            flat: m members.

        Returns:
            (m,) counts, 1 only for a member that one set has.
        """
        counts: NDArray[np.uint8] = self._table[flat >> self._shift]
        return counts

    def rarest(self, block: Block, wanted: Indices) -> Iterator[tuple[Hashes, Indices]]:
        """Yield the rarest members of sets that several sets may have.

        Args:
            block: the sets.
            wanted: (m,) how many members of each set count as its rarest.

        Yields:
            Members and the rows of their sets, for some sets at a time.
        """
        counts, starts = self.of(block.flat), np.append(block.starts, len(block.flat))
        for low in range(0, len(block.rows), SORTED):
            high = min(low + SORTED, len(block.rows))
            sizes, cut = block.sizes[low:high], slice(int(starts[low]), int(starts[high]))
            owner = np.repeat(np.arange(high - low), sizes)
            count = counts[cut]
            order = np.argsort((owner << 8).astype(np.uint16) | count, kind="stable")  # then by hash, as each set is sorted
            rank = np.arange(len(order)) - np.repeat(starts[low:high] - starts[low], sizes)
            chosen = order[(rank < np.repeat(wanted[low:high], sizes)) & (count[order] > 1)]
            yield block.flat[cut][chosen], block.rows[low:high][owner[chosen]]


def pairs(sets: ShingleSets, wanted: NDArray[np.bool_], threshold: float) -> Iterator[tuple[Indices, Indices]]:
    """Yield blocks of pairs of rows that may reach the threshold; each pair that does is in exactly one block.

    Args:
        sets: the sets of n rows.
        wanted: (n,) which of them are compared.
        threshold: a Jaccard similarity.

    Yields:
        Rows, and lower rows that they may be similar to.
    """
    sizes = sets.sizes
    prefix = prefix_sizes(sizes, threshold)
    owner, column = _shared(sets, wanted, prefix)
    if not len(owner):
        return
    width, ones = int(column[-1]) + 1, np.ones(len(owner), dtype=np.int16)
    rows, local = np.unique(owner, return_inverse=True)
    local = local.astype(np.int32)
    table = sparse.csr_array((ones, (local, column)), shape=(len(rows), width))
    turned = sparse.csr_array((ones, (column, local)), shape=(width, len(rows)))
    del owner, local, column, ones
    work = np.cumsum(table.astype(np.int64) @ np.diff(turned.indptr).astype(np.int64))
    start = 0
    while start < len(rows):
        done = int(work[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(work, done + PRODUCTS, side="right")))
        met = (table[start:stop] @ turned).tocoo()
        low = met.row + start > met.col
        left, right, common = rows[met.row[low] + start], rows[met.col[low]], met.data[low].astype(np.int64)
        small, large = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
        # what a pair shares lies in both prefixes or behind the one that ends first (PPJoin's position filter)
        reach = common + (sizes - prefix)[np.where(sizes[left] > sizes[right], left, right)]
        enough = reach >= threshold / (1 + threshold) * (small + large) - EPSILON
        keep = (small >= threshold * large - EPSILON) & enough
        if keep.any():
            yield left[keep], right[keep]
        start = stop


def _shared(sets: ShingleSets, wanted: NDArray[np.bool_], prefix: Indices) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the rarest members that several sets have among theirs: the row of each, and its number among such members."""
    counts = Counts(sets, wanted)
    spills = [(Spill(np.uint64, 2**22), Spill(np.int32, 2**21)) for _ in range(RANGES)]
    for block in sets.blocks(wanted):
        parts = list(counts.rarest(block, prefix[block.rows]))
        members, owner = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        place = (members >> np.uint64(60)).astype(np.uint8)
        order = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place, minlength=RANGES)).tolist()
        for (hashes, rows), start, end in zip(spills, [0, *ends], ends, strict=False):
            hashes.append(members[order[start:end]])
            rows.append(owner[order[start:end]])
    del counts
    owners, columns, known = list[NDArray[np.int32]](), list[NDArray[np.int32]](), 0
    for hashes, rows in spills:
        members, owner = hashes.read(), rows.read()
        hashes.close()
        rows.close()
        order = np.argsort(members, kind="stable")
        ordered = members[order]
        new = np.concatenate(([True], ordered[1:] != ordered[:-1])) if len(ordered) else np.zeros(0, dtype=bool)
        number = np.cumsum(new) - 1
        several = np.bincount(number)[number] > 1 if len(number) else new
        owners.append(owner[order[several]].astype(np.int32))
        column = np.cumsum(new[several]) - 1 + known
        columns.append(column.astype(np.int32))
        known = int(column[-1]) + 1 if len(column) else known
    return np.concatenate(owners), np.concatenate(columns)
