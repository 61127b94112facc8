"""Which part each article belongs to: a pure function of articles, scores, policy and the frozen test part.

Groups of copies and near-duplicates are placed whole. They are ordered by a hash of seed and content, and each stratum
of the overall score gives its first ones; so the result does not depend on row order, sizes are exact to a group, and
another batch of labels moves only the few validation articles at the edge of a stratum's share: 2% of them when 4,230
real labels became 5,323. A fixed hash threshold would move none, but leaves small parts unstratified, of chance size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.near_duplicates import Indices, fingerprint, near_groups
from distillery.components.artifacts.split import FILES, MIN_ARTICLES, SCORE
from distillery.filters.errors import InputError
from distillery.filters.spec import Split as Policy

if TYPE_CHECKING:
    import pyarrow as pa

WITHHELD = "withheld"  # near a test article but not one: neither learned from nor judged on
MIN_PART = 3
MAX_STRATA = 10
MOST_OF_PLAIN = 0.5  # of a sample's plain random draw, at most this goes to the test part


@dataclass(frozen=True)
class Assignment:
    """part: (n,) train, validation, test or withheld. stratum: (n,) int. group: (n,) first row of the group.

    edges: (strata - 1,) the highest overall score of each stratum but the last.
    """

    part: NDArray[np.str_]
    stratum: Indices
    group: Indices
    edges: NDArray[np.float64]

    def rows(self) -> dict[str, int]:
        return {part: int((self.part == part).sum()) for part in (*FILES, WITHHELD)}


def distinct(frame: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """One row per article, sorted by article digest; of several the one with the first id (never a mean nobody gave).

    Second value: {"copies": rows left out, "conflicting": articles whose copies carry different scores}.
    """
    names = ["article", "id", *(column for column in frame.column_names if column not in ("article", "id"))]
    ordered = frame.sort_by([(name, "ascending") for name in names])
    kept = ordered.take(np.unique(ordered["article"].to_pylist(), return_index=True)[1])
    scored = [column for column in names if column.startswith(SCORE)]
    opinions = frame.group_by(["article", *scored]).aggregate([])["article"]
    conflicting = opinions.value_counts().field("counts").to_numpy() > 1
    return kept, {"copies": frame.num_rows - kept.num_rows, "conflicting": int(conflicting.sum())}


def group_rows(frame: pa.Table, threshold: float) -> Indices:
    """(n,) first row of each article's group of copies and near-duplicates over title and content."""
    return near_groups(fingerprint(frame["title"].to_pylist(), frame["content"].to_pylist()), threshold)


def assign(
    frame: pa.Table,
    overall: NDArray[np.float64],
    policy: Policy,
    frozen_test: Collection[str] | None = None,
    *,
    group: Indices | None = None,
) -> Assignment:
    """Places every article of `frame` (one row per article) in a part.

    overall: (n,) what is stratified on. frozen_test: digests of the test articles, all present; None draws a new test
    part, of articles that a plain random draw chose where the frame has a column `drawn_by`.
    group: what `group_rows` returned for this frame, where the caller has it.
    InputError: too few distinct articles, a constant overall score, a part that would be next to empty.
    """
    articles = frame["article"].to_pylist()
    if len(set(articles)) != frame.num_rows or overall.shape != (frame.num_rows,):
        raise ValueError("assign takes one row and one overall score per article")
    if policy.validation + policy.test >= 1:
        raise InputError(
            f"validation {policy.validation:g} and test {policy.test:g} leave nothing to train on",
            where="spec.split",
            hint="let them sum to less than 1, as in 0.1 and 0.1",
        )
    group = group_rows(frame, policy.duplicateJaccard) if group is None else group
    units, unit = np.unique(group, return_inverse=True)
    if len(units) < MIN_ARTICLES:
        raise InputError(
            f"{len(units)} distinct articles where a split needs at least {MIN_ARTICLES}"
            + (f" ({frame.num_rows - len(units)} more are copies)" if frame.num_rows > len(units) else ""),
            hint="label more articles",
        )
    edges = strata_edges(overall, int(np.clip(frame.num_rows // 20, 2, MAX_STRATA)))
    stratum = np.searchsorted(edges, overall, side="left").astype(np.int64)

    sizes = np.bincount(unit)
    means = np.bincount(unit, weights=overall) / sizes
    # rounding of a mean of equal numbers must not lift it over an edge
    level = np.searchsorted(edges, means - 1e-9, side="left")
    names = _names(unit, articles)

    where = np.full(len(units), "train", dtype="<U10")
    if frozen_test is None:
        plain = plainly_drawn(frame)
        of_plain = np.bincount(unit, weights=plain, minlength=len(units)).astype(np.int64)
        share = min(policy.test * frame.num_rows / max(int(plain.sum()), 1), MOST_OF_PLAIN) if not plain.all() else policy.test
        chosen = _draw(np.flatnonzero(of_plain), level, of_plain, names, share, f"{policy.seed}:test")
        where[chosen] = "test"
        part = where[unit]
        part[(part == "test") & ~plain] = WITHHELD
    else:
        wanted = set(frozen_test)
        frozen = np.array([article in wanted for article in articles], dtype=bool)
        if frozen.sum() != len(wanted):
            raise ValueError("a frozen test part is assigned only where all its articles are present")
        where[unit[frozen]] = WITHHELD
        part = where[unit]
        part[frozen] = "test"
    free = np.flatnonzero(where == "train")
    chosen = _draw(free, level, sizes, names, policy.validation / (1 - policy.test), f"{policy.seed}:validation")
    part[np.isin(unit, chosen)] = "validation"

    result = Assignment(part, stratum, group, edges)
    for name in FILES:
        if (count := result.rows()[name]) < MIN_PART:
            raise InputError(
                f"the {name} part would have {count} of {frame.num_rows} articles, not {MIN_PART}",
                where="spec.split",
                hint="label more articles, or change the shares",
            )
    return result


def plainly_drawn(frame: pa.Table) -> NDArray[np.bool_]:
    """(n,) whether a test part may hold the row: one that was chosen for its stratum or its promise says too much.

    Rows without a rule, as in labels that people brought, count as plain.
    """
    if "drawn_by" not in frame.column_names:
        return np.ones(frame.num_rows, dtype=bool)
    return np.array([rule in (None, "", "random") for rule in frame["drawn_by"].to_pylist()], dtype=bool)


def strata_edges(overall: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Edges of up to `count` quantile bins, each value at most an edge below it; at least one edge, so two strata.

    InputError where every score is the same: then either the labels are worthless or the wrong thing was read.
    """
    values = np.unique(overall)
    if not np.isfinite(values).all():
        raise ValueError("an overall score is missing")
    if len(values) < 2 or values[-1] - values[0] < 1e-9:
        raise InputError(
            f"every article has the same overall score, {values[0]:g}: there is nothing to learn",
            hint="check the labels; the audit shows each dimension",
        )
    inner = np.quantile(overall, np.arange(1, count) / count, method="inverted_cdf")
    edges = np.unique(inner[inner < values[-1]])
    return edges if len(edges) else values[-2:-1]


def _names(unit: Indices, articles: Sequence[str]) -> list[str]:
    """Each group's name: the least of its members' digests."""
    least: dict[int, str] = {}
    for at, article in zip(unit.tolist(), articles, strict=True):
        least[at] = min(least.get(at, article), article)
    return [least[at] for at in range(len(least))]


def _draw(pool: Indices, level: Indices, sizes: Indices, names: Sequence[str], share: float, salt: str) -> Indices:
    """Groups from `pool` holding `share` of its articles, stratum by stratum in the order of a salted hash.

    A group of more than a tenth of the part stays out, or a test part could be one consent page three hundred times.
    """
    whole = int(sizes[pool].sum())
    largest = max(MIN_PART, int(share * whole) // 10)
    order = sorted(pool.tolist(), key=lambda at: (level[at], _hash(salt, names[at])))
    seen = have = 0
    chosen: list[int] = []
    for each in np.unique(level[pool]):
        members = [at for at in order if level[at] == each]
        seen += int(sizes[members].sum())
        for at in members:
            if sizes[at] <= largest and have + sizes[at] <= int(share * seen + 0.5):
                chosen.append(at)
                have += int(sizes[at])
    return np.array(chosen, dtype=np.int64)


def _hash(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}:{name}".encode()).digest()


def counts_by_stratum(assignment: Assignment) -> list[dict[str, float | int | None]]:
    """Per stratum its highest overall score (None for the last) and how many articles of each part it holds."""
    limits: list[float | None] = [*map(float, assignment.edges), None]
    return [
        {
            "upto": limit,
            **{part: int(((assignment.stratum == at) & (assignment.part == part)).sum()) for part in (*FILES, WITHHELD)},
        }
        for at, limit in enumerate(limits)
    ]
