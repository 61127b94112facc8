"""All promoted adapters in one table, across filters: each by the benchmark that it was judged by, on its own test part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillery.components.artifacts.benchmark import Benchmark, Figure, Interval
from distillery.components.artifacts.document import Document
from distillery.components.reporting.formatting import count, number, span
from distillery.components.reporting.sheet import Cell, Sheet, Table

NOTE = (
    "Each on its own test part, by its own filter: the rows say how well each filter is learnt, not which student is better: "
    "compare two of one filter for that. Skill is over the best simple baseline, the gap is from training to validation."
)


HEAD = (
    "Filter", "Channel", "Adapter", "Base model", "Best tier", "Recall", "Precision", "Articles", "Error", "95%", "Overall",
    "Rank corr.", "Skill", "Gap",
)  # fmt: skip


class Promoted(Document):
    """What serves on a channel, and its figures; a figure is None where the benchmark is gone or lacks it.

    Attributes:
        filter: name of the filter.
        version: of the filter; None where it is not known.
        channel: on which it serves.
        adapter: digest.
        base: base model as the filter named it; None where the bundle can't be read.
        articles: of its test part.
        mae: mean error over all dimensions.
        interval: of the mean error, 95%.
        overall_mae: mean error of the overall score.
        spearman: rank correlation of the overall score.
        tier: name of the best tier.
        recall: of the best tier.
        precision: of the best tier.
        skill: 1 less the mean error over that of the best baseline.
        gap: from training to validation.
        error: why it can't be read; None where it can.
    """

    filter: str
    version: int | None
    channel: str
    adapter: str
    base: str | None
    articles: int | None = None
    mae: Figure = None
    interval: Interval = None
    overall_mae: Figure = None
    spearman: Figure = None
    tier: str | None = None
    recall: Figure = None
    precision: Figure = None
    skill: Figure = None
    gap: Figure = None
    error: str | None = None

    def judged(self, benchmark: Benchmark) -> Promoted:
        """Return the same with the figures of its benchmark.

        Args:
            benchmark: of the adapter.

        Returns:
            The row.
        """
        tier = next(iter(benchmark.confusion.tiers), None)
        row, best = benchmark.tiers.get(tier) if tier else None, benchmark.best_baseline()
        figures: dict[str, Any] = {
            "articles": benchmark.n,
            "mae": benchmark.mae,
            "interval": benchmark.interval("mae"),
            "overall_mae": benchmark.overall_mae,
            "spearman": benchmark.spearman,
            "tier": tier,
            "recall": row.recall if row else None,
            "precision": row.precision if row else None,
            "skill": 1 - benchmark.mae / best[1] if best and best[1] and benchmark.mae is not None else None,
            "gap": benchmark.train_val_gap,
        }
        return self.model_copy(update=figures)


class Promotions(Document):
    """What serves on all channels of a store."""

    items: list[Promoted]


def promoted_sheet(rows: Sequence[Promoted]) -> Sheet:
    """Return the table of all promoted adapters as a page.

    Args:
        rows: of all filters.

    Returns:
        The sheet.
    """
    filters = len({row.filter for row in rows})
    return Sheet(
        eyebrow="All promoted adapters",
        title="Filters beside one another",
        sentence=f"{count(len(rows))} channels of {count(filters)} filters have a promoted adapter."
        if rows
        else "Nothing is promoted in this store yet.",
        tables=[
            Table(
                "Promoted adapters",
                HEAD,
                [_row(row) for row in rows],
                NOTE,
                left=5,
            )
        ],
    )


def _row(row: Promoted) -> list[Cell | str]:
    name = f"{row.filter} v{row.version}" if row.version else row.filter
    if row.error:
        return [name, row.channel, row.adapter[:12], Cell(f"unreadable: {row.error}", "bad"), *[""] * 10]
    return [
        name,
        row.channel,
        row.adapter[:12],
        (row.base or "–").rpartition("/")[2],
        row.tier or "–",
        number(row.recall, percent=True),
        number(row.precision, percent=True),
        count(row.articles),
        number(row.mae, 3),
        span(row.interval, 3),
        number(row.overall_mae, 3),
        number(row.spearman, 3),
        number(row.skill, percent=True),
        number(row.gap, percent=True),
    ]
