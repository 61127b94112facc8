"""The assignment of articles to parts: a pure function of articles, scores, policy and the frozen test part.

Groups of copies and near-duplicates are placed whole. They are ordered by a hash of seed and content, and each stratum
of the overall score contributes its first ones. So row order makes no difference, each part's size is exact to a group, and
more labels move only the few validation articles at the edge of a stratum's share: 2% of them when 4,230 real labels became
5,323. A fixed hash threshold would move none, but would leave small parts unstratified and their sizes to chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from distillery.components.articles.near_duplicates import fingerprint, first_rows, near_groups
from distillery.components.articles.shingle_sets import Indices
from distillery.components.artifacts.split import FILES, MIN_ARTICLES, SCORE, TEXTS
from distillery.filters.errors import InputError
from distillery.filters.spec import Split as Policy

if TYPE_CHECKING:
    import pyarrow as pa

WITHHELD = "withheld"  # near a test article but not one: neither learned from nor judged on
MIN_PART = 3
MAX_STRATA = 10
MOST_OF_PLAIN = 0.5  # the largest share of a sample's plain random draw that goes to the test part


@dataclass(frozen=True)
class Assignment:
    """Where each of n articles goes.

    Attributes:
        part: (n,) train, validation, test or withheld.
        stratum: (n,) number of the stratum, from 0.
        group: (n,) first row of the article's group of near-duplicates.
        edges: (strata - 1,) the highest overall score of each stratum but the last.
    """

    part: NDArray[np.str_]
    stratum: Indices
    group: Indices
    edges: NDArray[np.float64]

    def rows(self) -> dict[str, int]:
        """Count the articles of each part.

        Returns:
            Articles by the name of the part, those withheld included.
        """
        return {part: int((self.part == part).sum()) for part in (*FILES, WITHHELD)}


def distinct(table: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """Reduce a label table to one row for each article.

    Args:
        table: a label table.

    Returns:
        The rows sorted by article digest, of several for one article the one with the first id (never a mean that nobody
        gave); and {"copies": rows left out, "conflicting": articles whose copies carry different scores}.
    """
    rows, counts = distinct_rows(table.drop_columns([name for name in TEXTS if name in table.column_names]), table.take)
    return table.take(rows), counts


def distinct_rows(small: pa.Table, take: Callable[[Indices], pa.Table]) -> tuple[Indices, dict[str, int]]:
    """Choose one row for each article, as `distinct` does, without looking at texts where ids tell rows apart.

    Args:
        small: a label table; its texts may be missing.
        take: returns some rows with their texts.

    Returns:
        Numbers of rows, sorted by article digest; and the counts.
    """
    articles = small["article"].to_numpy(zero_copy_only=False)
    order = pc.sort_indices(small, [("article", "ascending"), ("id", "ascending")]).to_numpy().astype(np.int64)
    ids = small["id"].to_numpy(zero_copy_only=False)
    same = (articles[order][1:] == articles[order][:-1]) & (ids[order][1:] == ids[order][:-1])
    if same.any():  # whatever else the rows say decides
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = take(order[tied])
        names = ["article", "id", *(column for column in rows.column_names if column not in ("article", "id"))]
        order[tied] = order[tied][pc.sort_indices(rows, [(name, "ascending") for name in names]).to_numpy()]
    first = np.ones(len(order), dtype=bool)
    first[1:] = articles[order][1:] != articles[order][:-1]
    scored = [column for column in small.column_names if column.startswith(SCORE)]
    opinions = small.group_by(["article", *scored]).aggregate([])["article"]
    conflicting = opinions.value_counts().field("counts").to_numpy() > 1
    return order[first], {"copies": len(order) - int(first.sum()), "conflicting": int(conflicting.sum())}


def group_rows(table: pa.Table, groups: Indices) -> Indices:
    """Return which rows of a table go to one part.

    Args:
        table: n rows.
        groups: (n,) any name of each row's group of near-duplicates.

    Returns:
        (n,) the first row of each article's group.
    """
    if len(groups) != table.num_rows:
        raise ValueError("every row has a group")
    return first_rows(groups)


def assign(
    table: pa.Table,
    overall: NDArray[np.float64],
    policy: Policy,
    frozen_test: Collection[str] | None = None,
    *,
    group: Indices | None = None,
) -> Assignment:
    """Assign every article to a part.

    Args:
        table: n rows, one for each article; their texts are looked at only where groups are to be found.
        overall: (n,) the score to stratify by.
        policy: shares, seed and similarity threshold.
        frozen_test: digests of the test articles, all present; None draws a new test part, only from articles that a plain
            random draw chose where the table has a column `drawn_by`.
        group: what `group_rows` returned for this table; None to find the groups here, by its texts.

    Returns:
        The part, stratum and group of each row.

    Raises:
        InputError: too few distinct articles, a constant overall score, or a part that would be nearly empty.
        ValueError: rows and scores don't match, or a frozen test article is missing.
    """
    articles = table["article"].to_pylist()
    if len(set(articles)) != table.num_rows or overall.shape != (table.num_rows,):
        raise ValueError("assign takes one row and one overall score per article")
    if policy.validation + policy.test >= 1:
        raise InputError(
            f"validation {policy.validation:g} and test {policy.test:g} leave nothing to train on",
            where="spec.split",
            hint="let them sum to less than 1, as in 0.1 and 0.1",
        )
    if group is None:
        prints = fingerprint(table["title"].to_pylist(), table["content"].to_pylist())
        group = group_rows(table, near_groups(prints, policy.duplicateJaccard))
    units, unit = np.unique(group, return_inverse=True)
    if len(units) < MIN_ARTICLES:
        raise InputError(
            f"{len(units)} distinct articles where a split needs at least {MIN_ARTICLES}"
            + (f" ({table.num_rows - len(units)} more are copies)" if table.num_rows > len(units) else ""),
            hint="label more articles",
        )
    edges = strata_edges(overall, int(np.clip(table.num_rows // 20, 2, MAX_STRATA)))
    stratum = np.searchsorted(edges, overall, side="left").astype(np.int64)

    sizes = np.bincount(unit)
    means = np.bincount(unit, weights=overall) / sizes
    # rounding of a mean of equal numbers must not lift it over an edge
    level = np.searchsorted(edges, means - 1e-9, side="left")
    names = _names(unit, articles)

    where = np.full(len(units), "train", dtype="<U10")
    if frozen_test is None:
        plain = plainly_drawn(table)
        of_plain = np.bincount(unit, weights=plain, minlength=len(units)).astype(np.int64)
        share = min(policy.test * table.num_rows / max(int(plain.sum()), 1), MOST_OF_PLAIN) if not plain.all() else policy.test
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
                f"the {name} part would have {count} of {table.num_rows} articles, not {MIN_PART}",
                where="spec.split",
                hint="label more articles, or change the shares",
            )
    return result


def plainly_drawn(table: pa.Table) -> NDArray[np.bool_]:
    """Tell which rows a test part may hold: those that were not chosen for their stratum or their promise.

    Args:
        table: n rows. Rows without a rule in `drawn_by`, as in labels that people brought, count as drawn at random.

    Returns:
        (n,) True for a row that was drawn at random.
    """
    if "drawn_by" not in table.column_names:
        return np.ones(table.num_rows, dtype=bool)
    return np.array([rule in (None, "", "random") for rule in table["drawn_by"].to_pylist()], dtype=bool)


def strata_edges(overall: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cut the overall scores into strata of about equal size.

    Args:
        overall: (n,) finite scores.
        count: the most strata to make.

    Returns:
        The highest score of each stratum but the last; at least one, so there are at least two strata.

    Raises:
        InputError: every score is the same, so the labels are worthless or the wrong thing was read.
        ValueError: a score is missing.
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
    """Return the name of each group: the least of its members' digests."""
    least: dict[int, str] = {}
    for group, article in zip(unit.tolist(), articles, strict=True):
        least[group] = min(least.get(group, article), article)
    return [least[group] for group in range(len(least))]


def _draw(pool: Indices, level: Indices, sizes: Indices, names: Sequence[str], share: float, salt: str) -> Indices:
    """Return groups of `pool` that hold `share` of its articles, taken stratum by stratum in the order of a salted hash.

    A group larger than a tenth of the part is never taken, or a test part could be one consent page three hundred times.
    """
    whole = int(sizes[pool].sum())
    largest = max(MIN_PART, int(share * whole) // 10)
    order = sorted(pool.tolist(), key=lambda group: (level[group], _hash(salt, names[group])))
    passed = taken = 0  # articles
    chosen: list[int] = []
    for stratum in np.unique(level[pool]):
        members = [group for group in order if level[group] == stratum]
        passed += int(sizes[members].sum())
        for group in members:
            if sizes[group] <= largest and taken + sizes[group] <= int(share * passed + 0.5):
                chosen.append(group)
                taken += int(sizes[group])
    return np.array(chosen, dtype=np.int64)


def _hash(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}:{name}".encode()).digest()


def counts_by_stratum(assignment: Assignment) -> list[dict[str, float | int | None]]:
    """Count the articles of each part by stratum.

    Args:
        assignment: where each article goes.

    Returns:
        For each stratum its highest overall score `upto` (None for the last) and the articles of each part.
    """
    limits: list[float | None] = [*map(float, assignment.edges), None]
    return [
        {
            "upto": limit,
            **{part: int(((assignment.stratum == number) & (assignment.part == part)).sum()) for part in (*FILES, WITHHELD)},
        }
        for number, limit in enumerate(limits)
    ]
