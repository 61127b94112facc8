"""The articles of a corpus that are most of what drifted: those whose scores the reference has seldom, and the corpus often."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from distillery.components.artifacts.drift import Sample
from distillery.components.artifacts.histograms import BINS, WIDTH
from distillery.components.artifacts.scores import Scores
from distillery.components.drift.compare import OVERALL, TIERS, Comparison
from distillery.components.drift.statistics import grouped, merged, shares
from distillery.components.scoring.rows import part_rows
from distillery.components.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN: Final = 10
MAX_ROWS: Final = 200_000  # rows that are looked through: a few seconds


class Moved(NamedTuple):
    """One article that is typical of what drifted.

    Attributes:
        id: of the article.
        title: of the article; "" for none.
        source: of the article; "" for none.
        tier: that it was given.
        overall: score, 0-10.
        feature: the drifted feature in which it stands out most.
        score: its score there.
        weight: sum over the drifted features of ln(share of its bin now / in the reference).
    """

    id: str
    title: str
    source: str
    tier: str
    overall: float
    feature: str
    score: float
    weight: float


def moved_most(out: Store, scores: Scores, reference: Sample, now: Sample, found: Comparison) -> tuple[list[Moved], int]:
    """Return the articles that moved most.

    Args:
        out: where the scores are.
        scores: what _SUCCESS says.
        reference: how the reference is spread.
        now: how these scores are spread.
        found: what the look found.

    Returns:
        At most SHOWN articles, the most typical first, and how many rows were looked through. None where nothing drifted but
        the tiers, which follow from the rest.

    Raises:
        StoreError: a part was altered, or the store can't be read.
    """
    features = [feature.name for feature in found.drifted if feature.name != TIERS]
    if not features:
        return [], 0
    weights = {name: _weights(_bins(reference, name), _bins(now, name)) for name in features}
    best, looked = list[tuple[float, int, Moved]](), 0
    for part in scores.parts:
        if looked >= MAX_ROWS:
            break
        table = part_rows(out, part, scores.dimensions)
        kept = table.filter(table["prefiltered"].is_null())
        columns = {name: kept[OVERALL if name == OVERALL else f"score.{name}"].to_numpy() for name in features}
        for row, weight, feature in _largest(columns, weights):
            entry = {name: kept[name][row].as_py() for name in ("id", "title", "source", "tier", "overall")}
            texts = {name: str(entry[name] or "") for name in ("id", "title", "source", "tier")}
            moved = Moved(**texts, overall=entry["overall"], feature=feature, score=float(columns[feature][row]), weight=weight)
            best.append((-weight, looked + row, moved))
        best = heapq.nsmallest(SHOWN, best)
        looked += table.num_rows
    return [moved for weight, _, moved in best if weight < 0], looked


def _bins(sample: Sample, name: str) -> list[int]:
    return sample.spread.overall if name == OVERALL else sample.spread.dimensions[name]


def _weights(reference: list[int], now: list[int]) -> NDArray[np.float64]:
    """Return ln(share now / share in the reference) of each bin, by the groups that the test was made on."""
    import numpy as np

    groups, weights = merged(reference, now), np.zeros(BINS)
    for group, a, b in zip(groups, shares(grouped(reference, groups)), shares(grouped(now, groups)), strict=True):
        weights[group.start : group.stop] = math.log(b / a)
    return weights


def _largest(columns: dict[str, Any], weights: dict[str, NDArray[np.float64]]) -> list[tuple[int, float, str]]:
    """Return row, weight and most telling feature of the rows that weigh most, the first among equal ones first."""
    import numpy as np

    names = list(columns)
    places = [np.clip(np.floor(columns[name] / WIDTH), 0, BINS - 1).astype(np.int64) for name in names]
    each = np.stack([weights[name][place] for name, place in zip(names, places, strict=True)])
    total = each.sum(axis=0)
    order = np.argsort(-total, kind="stable")[:SHOWN]
    return [(int(row), float(total[row]), names[int(each[:, row].argmax())]) for row in order]
