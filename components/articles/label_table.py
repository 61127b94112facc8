"""Label tables: an Arrow table in memory, Parquet in the store, one row for each labeled article.

Equal labels make equal bytes under one version of Arrow, which is what digests rest on. Scores are matched to dimensions
by column name, never by position. Texts are large strings: sorting takes a column as one array, which may pass 2 GB.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from distillery.components.articles.articles import Label, match
from distillery.components.articles.table_file import TableFile
from distillery.components.store import Digest
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_TABLE: Final = 4 * 2**30  # bytes of a table in memory
ROWS: Final = 50_000  # in a row group of a table that is in memory
STREAMED_ROWS: Final = 500  # in a row group of one that is not: some 2 MB of text, for 2% more on disk
ARTICLE_COLUMNS: Final = ("id", "title", "content", "source", "language", "url", "published")
TEXT_COLUMNS: Final = ("article", *ARTICLE_COLUMNS, "content_type")
DRAWN_BY: Final = "drawn_by"


def label_table(labels: Iterable[Label], dimensions: Sequence[str]) -> pa.Table:
    """Build the table of some labels.

    Args:
        labels: the labels, each with a score for every dimension.
        dimensions: names of the dimensions, in the order of the columns.

    Returns:
        A row for each label: TEXT_COLUMNS, `score.<dimension>` as float64; `reference.<dimension>` and `drawn_by` where any
        label's article has one.

    Raises:
        ValueError: a label lacks a dimension or has another one.
    """
    rows = [(label.article.digest, label) for label in labels]
    references = any(label.article.reference for _, label in rows)
    drawn = any(label.article.drawn_by for _, label in rows)
    return _table(rows, dimensions, _schema(dimensions, references=references, drawn=drawn))


def write_label_table(
    path: Path, labels: Iterable[tuple[Digest, Label]], dimensions: Sequence[str], *, references: bool, drawn: bool = False
) -> int:
    """Write the table of labels that come one by one, in their order; memory holds one row group.

    Args:
        path: the Parquet file to write.
        labels: each label behind the digest of its article.
        dimensions: names of the dimensions, in the order of the columns.
        references: whether any article has true scores, so that the table has columns for them.
        drawn: whether a rule of a sample drew any article, so that the table has a column for it.

    Returns:
        How many labels were written.

    Raises:
        ValueError: a label lacks a dimension or has another one.
    """
    schema, feed, count = _schema(dimensions, references=references, drawn=drawn), iter(labels), 0

    def groups() -> Iterable[pa.Table]:
        nonlocal count
        while rows := list(islice(feed, STREAMED_ROWS)):
            count += len(rows)
            yield _table(rows, dimensions, schema)

    _write_parquet(path, schema, groups())
    return count


def _schema(dimensions: Sequence[str], *, references: bool, drawn: bool) -> pa.Schema:
    import pyarrow as pa

    columns = [(name, pa.large_string()) for name in TEXT_COLUMNS]
    columns += [(f"score.{name}", pa.float64()) for name in dimensions]
    if references:
        columns += [(f"reference.{name}", pa.float64()) for name in dimensions]
    if drawn:
        columns.append((DRAWN_BY, pa.large_string()))
    return pa.schema(columns)


def _table(rows: Sequence[tuple[Digest, Label]], dimensions: Sequence[str], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    for _, label in rows:
        match(label.scores, dimensions)
    articles = [label.article for _, label in rows]
    columns: dict[str, list[Any]] = {name: [getattr(article, name) for article in articles] for name in ARTICLE_COLUMNS}
    columns["article"] = [digest for digest, _ in rows]
    columns["content_type"] = [label.content_type for _, label in rows]
    columns[DRAWN_BY] = [article.drawn_by for article in articles]
    for name in dimensions:
        columns[f"score.{name}"] = [label.scores[name] for _, label in rows]
        columns[f"reference.{name}"] = [(article.reference or {}).get(name) for article in articles]
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _write_parquet(to: Path | io.BytesIO, schema: pa.Schema, groups: Iterable[pa.Table]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(to, schema, compression="zstd", write_statistics=False) as writer:
        for group in groups:
            writer.write_table(group)


def write_table(table: pa.Table, notes: Mapping[str, str] | None = None) -> bytes:
    """Return a table as Parquet (zstd); equal tables give equal bytes, however they are cut into chunks.

    Args:
        table: any table; what a reader noted in its schema's metadata is not kept.
        notes: what the metadata of the written schema say.

    Returns:
        The file, the same for equal tables under one version of Arrow.
    """
    import pyarrow as pa

    schema = pa.schema([(field.name, field.type) for field in table.schema], metadata=notes)
    plain, file = pa.Table.from_arrays(table.columns, schema=schema), io.BytesIO()
    _write_parquet(file, schema, (plain.slice(row, ROWS).combine_chunks() for row in range(0, plain.num_rows, ROWS)))
    return file.getvalue()


def read_table(data: bytes) -> pa.Table:
    """Read a table from the bytes of a Parquet file.

    Args:
        data: the file.

    Returns:
        The table, each column as one chunk.

    Raises:
        InputError: these are no Parquet bytes, or they would unpack to more than 4 GB or 100 times their size.
    """
    return TableFile(io.BytesIO(data), len(data), _limit(len(data))).read()


@contextmanager
def open_table(path: Path) -> Iterator[TableFile]:
    """Open a Parquet file to be read in pieces.

    Args:
        path: the file.

    Yields:
        The table.

    Raises:
        InputError: as `read_table`.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        yield TableFile(stream, size, _limit(size))


def _limit(size: int) -> int:
    from distillery.components.articles.formats import FREE_BYTES, MAX_RATIO

    return min(MAX_TABLE, max(FREE_BYTES, MAX_RATIO * size))


def write_rows(path: Path, table: TableFile, rows: NDArray[np.int64]) -> None:
    """Write some rows of a table as `write_table` does; memory holds one row group.

    Args:
        path: the Parquet file to write.
        table: where the rows are.
        rows: their numbers, in the order wanted.
    """
    import pyarrow as pa

    schema = pa.schema([(field.name, field.type) for field in table.schema])
    groups = (table.take(rows[start : start + ROWS]) for start in range(0, len(rows), ROWS))
    _write_parquet(path, schema, (pa.Table.from_arrays(group.columns, schema=schema) for group in groups))


def scores(table: pa.Table, dimensions: Sequence[str]) -> NDArray[np.float64]:
    """Return the scores of a label table, taken by name.

    Args:
        table: a label table.
        dimensions: names of the dimensions, in the order wanted.

    Returns:
        (n, D) scores, D in the order of `dimensions`.

    Raises:
        InputError: the table lacks a dimension or has another one, or a score is missing or not finite.
    """
    return _matrix(table, "score.", dimensions)


def references(table: pa.Table, dimensions: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the true scores of a label table, where somebody knows any.

    Args:
        table: a label table.
        dimensions: names of the dimensions, in the order wanted.

    Returns:
        (n, D) true scores, NaN where a row has none; None if the table has no columns for them.

    Raises:
        InputError: the table has true scores, but lacks those of a dimension or has others.
    """
    if not any(name.startswith("reference.") for name in table.column_names):
        return None
    return _matrix(table, "reference.", dimensions, nulls=True)


def _matrix(table: pa.Table, prefix: str, dimensions: Sequence[str], *, nulls: bool = False) -> NDArray[np.float64]:
    import numpy as np

    try:
        match([name.removeprefix(prefix) for name in table.column_names if name.startswith(prefix)], dimensions)
    except ValueError as error:
        raise InputError(f"the table {error}", hint="redo the labels with this filter") from error
    columns = [np.asarray(table[f"{prefix}{name}"].to_numpy(), dtype=np.float64) for name in dimensions]
    matrix = np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
    if not nulls and not np.isfinite(matrix).all():
        raise InputError("the table has a score that is missing or not finite", hint="redo the labels with this filter")
    return matrix
