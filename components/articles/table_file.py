"""A table in a Parquet file that is read column by column and piece by piece: its texts may be more than memory holds.

Nothing is decoded before the headers of all pages were read (`parquet_pages`): footers lie.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from distillery.components.articles.parquet_pages import MAX_FOOTER, MAX_HELD, footer_size, kept_whole, weigh
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH: Final = 1024  # rows that are decoded at a time
TOO_LITTLE: Final = 100_000  # rows that a file may have beyond its bytes


class TableFile:
    """A Parquet file of ours: a label table, a part of a split, predictions.

    Attributes:
        schema: names and types of its columns.
        num_rows: how many rows it has.
    """

    def __init__(self, stream: BinaryIO | io.BytesIO, size: int, limit: int) -> None:
        """Weigh the file.

        Args:
            stream: the file, seekable; it is not closed here.
            size: its bytes.
            limit: bytes that it may unpack to.

        Raises:
            InputError: these are no Parquet bytes, or they would unpack to more.
        """
        import pyarrow.parquet as pq

        from distillery.components.articles.formats import FREE_BYTES

        self._limit = limit
        self._bomb = InputError(f"the table would unpack from {size:,} bytes to {limit:,}", hint="look at what made it")
        with self._decoding():
            if footer_size(stream, size) > MAX_FOOTER:
                raise self._bomb
            stream.seek(0)
            self._file = pq.ParquetFile(stream, buffer_size=2**20, pre_buffer=False)
            metadata, columns = self._file.metadata, range(self._file.metadata.num_columns)
            whole = kept_whole(self._file)
            groups = [weigh(stream, metadata, group, columns, whole) for group in range(metadata.num_row_groups)]
            heaviest = max((group.held for group in groups), default=0)
            if sum(group.unpacked for group in groups) > limit or metadata.num_rows > size + TOO_LITTLE:
                raise self._bomb
            if heaviest > max(limit, MAX_HELD):
                raise self._bomb
            repeated = max((group.entries for group in groups), default=0)  # a long text, by a dictionary, in every row
            self._batch = min(BATCH, max(1, FREE_BYTES // max(repeated, 1)))
            self.schema, self.num_rows = self._file.schema_arrow, metadata.num_rows

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Tell whatever damaged bytes make the decoder say as what it is."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"is not a readable Parquet table: {str(error)[:200]}") from error

    def batches(self, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in their order, some at a time.

        Args:
            columns: names of the columns; None for all.
            groups: numbers of the row groups; None for all.

        Yields:
            Batches.

        Raises:
            InputError: the bytes are damaged, or unpack to more than they may.
        """
        unpacked = 0
        with self._decoding():
            rest = {} if groups is None else {"row_groups": list(groups)}
            names = None if columns is None else list(columns)
            batches = self._file.iter_batches(self._batch, columns=names, use_threads=False, **rest)
        while True:
            with self._decoding():
                batch = next(batches, None)
                if batch is None:
                    return
                if (unpacked := unpacked + batch.nbytes) > self._limit:
                    raise self._bomb
            yield batch

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all rows, each column as one chunk.

        Args:
            columns: names of the columns; None for all.

        Returns:
            The table.

        Raises:
            InputError: as `batches`.
        """
        import pyarrow as pa

        batches = list(self.batches(columns))
        with self._decoding():
            schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
            # as one chunk each: batches may be of single rows
            table = pa.Table.from_batches(batches, schema).combine_chunks()
            table.validate(full=True)
            return table

    def take(self, rows: NDArray[np.int64], columns: Sequence[str] | None = None) -> pa.Table:
        """Return some rows in the order given; row groups without any of them are not read.

        Args:
            rows: their numbers, none twice.
            columns: names of the columns; None for all.

        Returns:
            The table, each column as one chunk.

        Raises:
            InputError: as `batches`.
        """
        import numpy as np
        import pyarrow as pa

        wanted = np.zeros(self.num_rows, dtype=bool)
        wanted[rows] = True
        metadata, pieces, start = self._file.metadata, list[pa.RecordBatch](), 0
        for group in range(metadata.num_row_groups):
            end = start + metadata.row_group(group).num_rows
            if wanted[start:end].any():
                place = start
                for batch in self.batches(columns, [group]):
                    chosen = wanted[place : place + batch.num_rows]
                    place += batch.num_rows
                    if chosen.any():
                        pieces.append(batch.filter(pa.array(chosen)))
            start = end
        names = self.schema.names if columns is None else columns
        table = pa.Table.from_batches(pieces, pa.schema([self.schema.field(name) for name in names]))
        order = np.argsort(np.argsort(rows, kind="stable"), kind="stable")  # of each row among those that were read
        return table.combine_chunks() if (np.diff(order) > 0).all() else table.take(pa.array(order)).combine_chunks()
