"""Pages that hardly differ, gathered around one of them: a consent page of ten thousand titles is compared ten thousand times.

Compared with one another they would be 50 million pairs.

Sets that agree in two of a few least hashes are compared with the first of them, their leader; those within a radius follow it.
The Jaccard distance (1 - similarity) obeys the triangle inequality, so a set that is further from the leader than threshold and
radius allow is near no follower. What lies between is compared in full: nothing is missed, whatever the least hashes say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.near_pairs import EPSILON, common_share, prefix_sizes
from distillery.components.articles.shingle_sets import Hashes, Indices, ShingleSets

if TYPE_CHECKING:
    Flags = NDArray[np.bool_]

MULTIPLIERS: Final = tuple(
    np.uint64(odd)
    for odd in (
        0x0000000000000001,
        0x9E3779B97F4A7C15,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0xD6E8FEB86659FD93,
        0xA0761D6478BD642F,
        0xE7037ED1A0B428DB,
        0x8EBC6AF09C88C6E3,
    )
)
RADIUS: Final = 0.1  # distance of a follower from its leader, at most
LEAST: Final = 16  # followers of a leader; fewer are as well compared with one another
PLACES: Final = 24  # bits of the table that members of leaders are looked up in


class Linking(Protocol):
    """What keeps which rows belong together."""

    def root(self, row: int, /) -> int:
        """Return the first row of a row's group.

        Args:
            row: the row.

        Returns:
            Another row, or itself.
        """

    def join(self, one: int, other: int, /) -> None:
        """Make one group of those of two rows.

        Args:
            one: a row.
            other: another row.
        """


@dataclass
class Clusters:
    """Rows that follow others.

    Attributes:
        following: (n,) whether a row follows a leader.
        followers: rows that follow each leader.
        distances: how far they are from it, in the same order.
    """

    following: Flags
    followers: dict[int, Indices] = field(default_factory=dict)
    distances: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def radius(self) -> float:
        """Return the greatest distance of a follower from its leader."""
        return max((float(each.max()) for each in self.distances.values()), default=0.0)


def similarities(sets: ShingleSets, one: Hashes, rows: Indices) -> NDArray[np.float64]:
    """Return how similar sets are to one.

    Args:
        sets: the sets of all rows.
        one: sorted distinct hashes, at least one.
        rows: m rows.

    Returns:
        (m,) Jaccard similarities.
    """
    found = np.zeros(len(rows))
    for start in range(0, len(rows), 1024):
        flats = [sets[row] for row in rows[start : start + 1024].tolist()]
        sizes = np.array([len(flat) for flat in flats], dtype=np.int64)
        flat = np.concatenate(flats)
        place = np.minimum(np.searchsorted(one, flat), len(one) - 1)
        owner = np.repeat(np.arange(len(flats)), sizes)
        common = np.bincount(owner[one[place] == flat], minlength=len(flats))
        found[start : start + 1024] = common / (sizes + len(one) - common)
    return found


def gather(sets: ShingleSets, wanted: Flags, threshold: float) -> Clusters:
    """Find leaders that many close copies follow.

    Args:
        sets: the sets of n rows.
        wanted: (n,) which of them are looked at.
        threshold: the Jaccard similarity that links rows; a follower is at least as similar to its leader.

    Returns:
        The clusters, none of fewer than LEAST followers.
    """
    clusters = Clusters(np.zeros(len(sets), dtype=bool))
    radius = min(RADIUS, (1 - threshold) / 2)
    rows, least = _least_hashes(sets, wanted)
    leading = np.zeros(len(sets), dtype=bool)
    for at in range(0, len(MULTIPLIERS), 2):
        both = (least[at] * MULTIPLIERS[1]) ^ least[at + 1]
        order = np.argsort(both, kind="stable")
        ends = np.flatnonzero(np.append(both[order][1:] != both[order][:-1], True)) + 1
        starts = np.append(0, ends[:-1])
        for start, end in zip(starts[ends - starts > 1].tolist(), ends[ends - starts > 1].tolist(), strict=True):
            same = rows[order[start:end]]
            same = same[~clusters.following[same]]
            leaders = same[leading[same]]
            if len(leaders):
                leader, same = int(leaders[0]), same[~leading[same]]
            elif len(same) > LEAST:
                leader, same = int(same[0]), same[1:]
            else:
                continue
            _follow(sets, clusters, leader, same, radius)
            leading[leader] = leader in clusters.followers
    return clusters


def _follow(sets: ShingleSets, clusters: Clusters, leader: int, rows: Indices, radius: float) -> None:
    """Let those rows follow that are within the radius, if they are enough or there are followers already."""
    if not len(rows):
        return
    distance = 1 - similarities(sets, sets[leader], rows)
    near = distance <= radius
    if leader not in clusters.followers and near.sum() < LEAST:
        return
    clusters.following[rows[near]] = True
    empty = np.zeros(0, dtype=np.int64)
    clusters.followers[leader] = np.concatenate([clusters.followers.get(leader, empty), rows[near]])
    clusters.distances[leader] = np.concatenate([clusters.distances.get(leader, empty.astype(float)), distance[near]])


def _least_hashes(sets: ShingleSets, wanted: Flags) -> tuple[Indices, list[Hashes]]:
    """Return the rows that are wanted and not empty, and for each multiplier the least product of their members."""
    rows: list[Indices] = [np.zeros(0, dtype=np.int64)]
    least: list[list[Hashes]] = [[np.zeros(0, dtype=np.uint64)] for _ in MULTIPLIERS]
    for block in sets.blocks(wanted):
        rows.append(block.rows)
        for found, odd in zip(least, MULTIPLIERS, strict=True):
            found.append(np.minimum.reduceat(block.flat * odd, block.starts))
    return np.concatenate(rows), [np.concatenate(found) for found in least]


def reach(sets: ShingleSets, wanted: Flags, clusters: Clusters, threshold: float, links: Linking) -> None:
    """Link the rows that are similar to a follower, whether or not they are to its leader.

    Args:
        sets: the sets of n rows.
        wanted: (n,) which of them are compared: leaders, and rows that follow none.
        clusters: leaders and their followers.
        threshold: the Jaccard similarity that links rows.
        links: what is linked so far, and will be.
    """
    if not clusters.followers:
        return
    sizes = sets.sizes
    lowest = max(
        threshold - 2 * clusters.radius, EPSILON
    )  # of leaders, one of whose followers may be linked with one of the other's
    members = {
        leader: sets[leader][: int(prefix_sizes(sizes[leader : leader + 1], lowest)[0])] for leader in clusters.followers
    }
    table = np.zeros(2**PLACES, dtype=bool)
    shift = np.uint64(64 - PLACES)
    for each in members.values():
        table[each >> shift] = True
    for block in sets.blocks(wanted):
        owner = np.repeat(block.rows, block.sizes)
        hit = table[block.flat >> shift]
        flat, owner = block.flat[hit], owner[hit]
        for leader, own in members.items():
            place = np.minimum(np.searchsorted(own, flat), len(own) - 1)
            rows, common = np.unique(owner[own[place] == flat], return_counts=True)
            size, rest = sizes[leader], sizes[leader] - len(own)
            enough = common + rest >= lowest / (1 + lowest) * (sizes[rows] + size) - EPSILON
            for row in rows[enough & (rows != leader)].tolist():
                if not (row in members and row < leader):
                    _meet(sets, clusters, leader, row, threshold, links)


def _meet(sets: ShingleSets, clusters: Clusters, leader: int, row: int, threshold: float, links: Linking) -> None:
    """Compare a row, and its followers, with the followers of a leader, as far as the distance of the two leaves it open."""
    if links.root(leader) == links.root(row):
        return
    alike = common_share(sets[leader], sets[row])
    if alike >= threshold - 1e-12:
        links.join(leader, row)
        return
    theirs = clusters.followers.get(row, np.zeros(0, dtype=np.int64))
    further = np.append(clusters.distances.get(row, np.zeros(0)), 0.0)
    for other, distance in zip([*theirs.tolist(), row], further.tolist(), strict=True):
        # what is further than this from the leader's place can't reach the row
        near = clusters.distances[leader] + distance >= threshold - alike - EPSILON
        if near.any() and (similarities(sets, sets[other], clusters.followers[leader][near]) >= threshold - 1e-12).any():
            links.join(leader, row)
            return
        if other != row and common_share(sets[leader], sets[other]) >= threshold - 1e-12:
            links.join(leader, row)
            return
