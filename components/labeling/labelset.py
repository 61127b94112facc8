"""A label set, written row by row: the same table as `articles.label_table.label_frame` makes, without holding it.

Row groups of 2,000 rows bound the memory (10 MB of text) and cost 2% of the size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distillery.components.articles.articles import Label
from distillery.components.articles.label_table import DRAWN_BY, TEXT_COLUMNS
from distillery.components.store import Digest

if TYPE_CHECKING:
    import pyarrow as pa

ROWS: Final = 500


def _schema(dimensions: Sequence[str], references: bool, drawn: bool) -> pa.Schema:
    import pyarrow as pa

    columns = [(name, pa.large_string()) for name in TEXT_COLUMNS]
    columns += [(f"score.{name}", pa.float64()) for name in dimensions]
    if references:
        columns += [(f"reference.{name}", pa.float64()) for name in dimensions]
    if drawn:
        columns.append((DRAWN_BY, pa.large_string()))
    return pa.schema(columns)


def write_label_set(
    path: Path, labels: Iterable[tuple[Digest, Label]], dimensions: Sequence[str], *, references: bool, drawn: bool = False
) -> int:
    """Writes the labels in the order given, with each article's digest; returns how many there were.

    references, drawn: whether any article has true scores, or was drawn by a rule, so that the table has columns for them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, rows = _schema(dimensions, references, drawn), 0
    feed = iter(labels)
    with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as writer:
        while some := [_row(digest, label, dimensions, references) for digest, label in islice(feed, ROWS)]:
            writer.write_table(pa.Table.from_pylist(some, schema))
            rows += len(some)
    return rows


def _row(digest: Digest, label: Label, dimensions: Sequence[str], references: bool) -> dict[str, Any]:
    article = label.article
    row: dict[str, Any] = {name: getattr(article, name) for name in TEXT_COLUMNS[1:8]}
    row |= {"article": digest, "content_type": label.content_type}
    row |= {f"score.{name}": label.scores[name] for name in dimensions}
    if references:
        row |= {f"reference.{name}": (article.reference or {}).get(name) for name in dimensions}
    return {**row, DRAWN_BY: article.drawn_by}  # left out where the schema has no such column
