"""The articles of a test part that are worth a person's time, each with why; equal seeds draw equal articles.

Four in ten go where student and oracle differ most, three where a small change of the prediction would change the tier, two
where the weakest dimension is furthest off, and one at random, so that people also see what is ordinary.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.split import load_split
from distillery.components.benchmarking.predict import aligned, read_predictions
from distillery.components.store import Store, digest_json
from distillery.filters.errors import InputError
from distillery.filters.verdict import judge

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.filters.filter import Filter

Floats = NDArray[np.float64]

ORDER: Final = (
    *("disagreement", "tier edge", "disagreement", "weak dimension", "tier edge"),
    *("disagreement", "random", "tier edge", "disagreement", "weak dimension"),
)
STEPS: Final = (0.1, 0.25, 0.5, 1.0, 2.0)  # points by which all dimensions are moved to find a tier's edge


class Judged(NamedTuple):
    """A test part with what was said of it.

    Attributes:
        filter: the filter.
        adapter: digest of the adapter.
        test: digest of the test part.
        frame: n articles.
        labels: (n, D) scores of the oracle.
        predictions: (n, D) scores of the student.
        types: the content type that the student names of each; None for a student that names none.
    """

    filter: Filter
    adapter: str
    test: str
    frame: pa.Table
    labels: Floats
    predictions: Floats
    types: list[str | None] | None = None

    def articles(self) -> list[str]:
        """Return the digests of the articles.

        Returns:
            Digests in the order of the rows.
        """
        digests: list[str] = self.frame["article"].to_pylist()
        return digests


class Drawn(NamedTuple):
    """An article to be reviewed. row: in the test part. why: the rule that drew it."""

    row: int
    why: str


def read_judged(store: Store, flt: Filter, summary: RunSummary) -> Judged:
    """Return the test part of a run with labels and predictions.

    Args:
        store: where they are.
        flt: the run's filter.
        summary: the run.

    Returns:
        The test part.

    Raises:
        InputError: the run came to no predictions.
    """
    outputs = summary.outputs
    adapter, test, split, predictions = (outputs.get(name) for name in ("adapter", "test", "split", "predictions"))
    if not (adapter and test and split and predictions):
        raise InputError("came to no predictions", where=f"run {summary.run}", hint="see `distillery get runs`; distill again")
    frame = load_split(store, split, expected_test=test).test
    predicted = aligned(read_predictions(store, adapter, test, predictions), frame)
    return Judged(flt, adapter, test, frame, scores(frame, flt.dimensions), predicted.scores, predicted.types)


def draw(judged: Judged, count: int, seed: int) -> list[Drawn]:
    """Return the articles that are worth a person's time.

    Args:
        judged: the test part.
        count: how many; fewer where there are not so many.
        seed: another one breaks ties, draws and orders otherwise.

    Returns:
        Articles in an order that says nothing of why they were drawn.
    """
    luck = np.array([int(digest_json([seed, article])[:12], 16) for article in judged.articles()], dtype=np.float64)
    errors = np.abs(judged.predictions - judged.labels)
    weakest = int(errors.mean(axis=0).argmax())
    ranks = {
        "disagreement": np.lexsort((luck, -errors.mean(axis=1))),
        "tier edge": np.lexsort((luck, -errors.mean(axis=1), edge(judged.filter, judged.predictions, judged.types))),
        "weak dimension": np.lexsort((luck, -errors[:, weakest])),
        "random": np.argsort(luck, kind="stable"),
    }
    queues = {why: iter(rows.tolist()) for why, rows in ranks.items()}
    found: dict[int, str] = {}
    for at in range(min(count, len(errors))):
        why = ORDER[at % len(ORDER)]
        found[next(row for row in queues[why] if row not in found)] = why
    return [Drawn(row, found[row]) for row in sorted(found, key=lambda row: luck[row])]


def edge(flt: Filter, predictions: Floats, types: list[str | None] | None = None) -> Floats:
    """Return how little a prediction must move, all dimensions alike, to come into another tier.

    Args:
        flt: the filter, whose tiers may be any rules.
        predictions: (n, D) scores.
        types: content type of each, whose caps apply; None for none.

    Returns:
        (n,) points out of STEPS; infinity where none of them is enough.
    """
    before = judge(flt, predictions, types).tier
    nearest = np.full(len(predictions), np.inf)
    for step in reversed(STEPS):
        for move in (step, -step):
            nearest[judge(flt, np.clip(predictions + move, 0, 10), types).tier != before] = step
    return nearest


def counted(drawn: list[Drawn]) -> dict[str, int]:
    """Return how many articles each rule drew.

    Args:
        drawn: the articles.

    Returns:
        Articles by rule.
    """
    return dict(sorted(Counter(each.why for each in drawn).items()))
