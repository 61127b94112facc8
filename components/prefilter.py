"""The prefilter: articles that are too short or about something else never reach the student; sampling balances by it.

Patterns run on Polars' Rust regex: linear time, so no pattern and no article can make it backtrack for ever. One pass per
pattern over the articles not yet decided; 256 patterns over 2,048 articles of 3 kB take about two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from filters.spec import Prefilter

if TYPE_CHECKING:
    import polars as pl

SHOWN = 80


def refused(prefilter: Prefilter, titles: Sequence[str], contents: Sequence[str]) -> list[str | None]:
    """For each of n articles the reason why it is left out, None where it passes.

    minChars counts the content alone; patterns look at title and content, without regard to case.
    """
    import polars as pl

    frame = pl.DataFrame({"title": titles, "content": contents}, schema={"title": pl.String, "content": pl.String})
    frame = frame.with_row_index("row")
    reasons: list[str | None] = [None] * len(frame)

    def refuse(rows: pl.Series, reason: str) -> None:
        for row in rows:
            reasons[row] = reason

    short = pl.col("content").str.len_chars() < prefilter.minChars
    refuse(frame.filter(short)["row"], f"shorter than {prefilter.minChars:,} characters")
    frame = frame.filter(~short).select("row", text=pl.concat_str("title", "content", separator="\n"))

    spared = set().union(*(found["row"] for _, found in _matching(frame, prefilter.unless))) if prefilter.exclude else set()
    left = frame.filter(~pl.col("row").is_in(sorted(spared)))
    for pattern, found in _matching(left, prefilter.exclude):
        refuse(found["row"], f"matches {pattern[:SHOWN]}")

    if prefilter.requireAny:
        passing = frame.filter(pl.col("row").is_in([row for row, reason in enumerate(reasons) if reason is None]))
        kept = set().union(*(found["row"] for _, found in _matching(passing, prefilter.requireAny)))
        refuse(passing.filter(~pl.col("row").is_in(sorted(kept)))["row"], "matches no pattern of requireAny")
    return reasons


def _matching(frame: pl.DataFrame, patterns: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each pattern with the rows it is the first to match."""
    for pattern in patterns:
        hit = frame["text"].str.contains(f"(?i){pattern}")
        yield pattern, frame.filter(hit)
        frame = frame.filter(~hit)
