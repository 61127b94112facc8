"""Labels as a table: an Arrow table in memory, Parquet in the store.

Equal labels make equal bytes under one version of Arrow, which is what digests rest on. Scores are matched to dimensions
by column name, never by place. Texts are large strings: sorting takes a column as one array, which may pass 2 GB.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distillery.components.articles.articles import Article, Label, match
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MAX_FRAME = 4 * 2**30
ROWS = 50_000  # in a row group
TEXT_COLUMNS = ("article", "id", "title", "content", "source", "language", "url", "published", "content_type")
DRAWN_BY = "drawn_by"


def label_frame(labels: Iterable[Label], dimensions: Sequence[str]) -> pa.Table:
    """One row per label: TEXT_COLUMNS, `score.<dimension>` float64; `reference.<dimension>` and `drawn_by` if any has one."""
    import pyarrow as pa

    rows = list(labels)
    columns: dict[str, Any] = {name: [] for name in TEXT_COLUMNS}
    for label in rows:
        article = label.article
        match(label.scores, dimensions)
        for name in TEXT_COLUMNS[1:8]:
            columns[name].append(getattr(article, name))
        columns["article"].append(article.digest)
        columns["content_type"].append(label.content_type)
    schema: dict[str, Any] = dict.fromkeys(TEXT_COLUMNS, pa.large_string())
    for name in dimensions:
        columns[f"score.{name}"] = [label.scores[name] for label in rows]
        schema[f"score.{name}"] = pa.float64()
    if any(label.article.reference for label in rows):
        for name in dimensions:
            columns[f"reference.{name}"] = [(label.article.reference or {}).get(name) for label in rows]
            schema[f"reference.{name}"] = pa.float64()
    if any(label.article.drawn_by for label in rows):
        columns[DRAWN_BY] = [label.article.drawn_by for label in rows]
        schema[DRAWN_BY] = pa.large_string()
    return pa.table(columns, schema=pa.schema(schema))


def frame_labels(frame: pa.Table, dimensions: Sequence[str]) -> list[Label]:
    """The inverse of `label_frame`."""
    scores(frame, dimensions)
    found = []
    for row in frame.to_pylist():
        true = {d: row[f"reference.{d}"] for d in dimensions if row.get(f"reference.{d}") is not None}
        texts = {name: row[name] or "" for name in TEXT_COLUMNS[1:8]}
        article = Article(**texts, reference=true or None, drawn_by=row.get(DRAWN_BY) or "")
        found.append(Label(article, {d: row[f"score.{d}"] for d in dimensions}, row["content_type"]))
    return found


def scores(frame: pa.Table, dimensions: Sequence[str]) -> NDArray[np.float64]:
    """(n, D) scores in the order of `dimensions`, taken by name; InputError if one is missing, null or too many."""
    return _matrix(frame, "score.", dimensions)


def references(frame: pa.Table, dimensions: Sequence[str]) -> NDArray[np.float64] | None:
    """(n, D) true scores, NaN where a row has none; None if the table has no such columns."""
    if not any(name.startswith("reference.") for name in frame.column_names):
        return None
    return _matrix(frame, "reference.", dimensions, nulls=True)


def _matrix(frame: pa.Table, prefix: str, dimensions: Sequence[str], *, nulls: bool = False) -> NDArray[np.float64]:
    import numpy as np

    try:
        match([name.removeprefix(prefix) for name in frame.column_names if name.startswith(prefix)], dimensions)
    except ValueError as error:
        raise InputError(f"the table {error}", hint="redo the labels with this filter") from error
    columns = [np.asarray(frame[f"{prefix}{name}"].to_numpy(), dtype=np.float64) for name in dimensions]
    matrix = np.column_stack(columns) if columns else np.empty((frame.num_rows, 0))
    if not nulls and not np.isfinite(matrix).all():
        raise InputError("the table has a score that is missing or not finite", hint="redo the labels with this filter")
    return matrix


def write_frame(frame: pa.Table, notes: Mapping[str, str] | None = None) -> bytes:
    """Parquet (zstd); equal tables give equal bytes under one version of Arrow, however they are cut into chunks.

    notes: what the schema's metadata say; of what a reader noted in the table's own nothing is kept.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(field.name, field.type) for field in frame.schema], metadata=notes)
    plain, out = pa.Table.from_arrays(frame.columns, schema=schema), io.BytesIO()
    with pq.ParquetWriter(out, schema, compression="zstd", write_statistics=False) as writer:
        for start in range(0, plain.num_rows, ROWS):
            writer.write_table(plain.slice(start, ROWS).combine_chunks())
    return out.getvalue()


def read_frame(data: bytes) -> pa.Table:
    """Parquet bytes as a table; InputError if they aren't Parquet or would unpack beyond 4 GB or 100:1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from distillery.components.articles.formats import FREE_BYTES, MAX_RATIO

    limit, batches, unpacked = min(MAX_FRAME, max(FREE_BYTES, MAX_RATIO * len(data))), [], 0
    bomb = InputError(f"the table would unpack from {len(data):,} bytes to {limit:,}", hint="look at what made it")
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            about = file.metadata
            declared = sum(about.row_group(index).total_byte_size for index in range(about.num_row_groups))
            if declared > limit or about.num_rows > len(data) + 100_000:
                raise bomb
            rows = min(1024, max(1, FREE_BYTES // max(declared, 1)))  # a dictionary may repeat a long text in every row
            for batch in file.iter_batches(rows, use_threads=False):
                batches.append(batch)
                if (unpacked := unpacked + batch.nbytes) > limit:
                    raise bomb
            # as one chunk each: batches may be of single rows
            table = pa.Table.from_batches(batches, file.schema_arrow).combine_chunks()
            table.validate(full=True)
            return table
    except InputError:
        raise
    except Exception as error:  # whatever damaged bytes make the decoder say
        raise InputError(f"is not a readable Parquet table: {str(error)[:200]}") from error
