"""Rows of a Parquet file, one at a time: neither a large row group nor a text that a dictionary repeats is unpacked whole.

Nothing is decoded before the headers of its pages were read (`parquet_pages`): footers lie. What rows weigh is summed as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from distillery.components.articles.arrow_rows import MAX_ITEMS, columns_to_read, own_cells, plain_row, too_much
from distillery.components.articles.columns import Renamed, Wanted
from distillery.components.articles.formats import MAX_LINE, Row, refuse_bomb, too_long
from distillery.components.articles.hub_features import features_of, with_names
from distillery.components.articles.parquet_pages import MAX_FOOTER, MAX_HELD, Readable, footer_size, kept_whole, weigh
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetRows:
    """Iterates over rows of a Parquet file."""

    def __init__(self, stream: Readable, where: str, size: int, renamed: Renamed) -> None:
        """Note what to read.

        Args:
            stream: the file, seekable.
            where: the file, as errors name it.
            size: bytes of the file as it is stored.
            renamed: columns that are read under other names.
        """
        self.stream, self.where, self.size, self.renamed = stream, where, size, renamed

    def rows(self, start: int, end: int | None, wanted: Wanted) -> Iterator[Row]:
        """Yield the rows whose share of the file begins in a range of its bytes.

        Args:
            start: the byte at which the range begins.
            end: the byte before which it ends; None for the whole file.
            wanted: the columns to read.

        Yields:
            Each row under our names, numbered from 1.

        Raises:
            InputError: the file is a bomb, is damaged, or is no table of articles.
        """
        import pyarrow.parquet as pq

        try:
            if footer_size(self.stream, self.size) > MAX_FOOTER:
                raise self._bomb()
            self.stream.seek(0)
            int96 = {"coerce_int96_timestamp_unit": "us"}  # in nanoseconds, dates before 1678 and after 2262 become others
            with pq.ParquetFile(self.stream, buffer_size=2**20, pre_buffer=False, **int96) as file:
                total = file.metadata.num_rows
                low, high = (-(-place * total // self.size) for place in (start, self.size if end is None else end))
                if low >= high and end is not None:
                    return
                names = self._wanted(file, wanted)
                yield from self._decoded(file, names, low, high)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes the decoder say
            reason = str(error).partition("\n")[0][:200]
            raise InputError(f"is a damaged Parquet file: {reason}", where=self.where, hint="write it again") from error

    def _decoded(self, file: pq.ParquetFile, names: list[str], low: int, high: int) -> Iterator[Row]:
        leaves = [
            number
            for number in range(len(file.schema.names))
            if file.schema.column(number).path.partition(".")[0] in {name.partition(".")[0] for name in names}
        ]
        features = features_of(file.schema_arrow.metadata)
        packed, decoded, number, count, whole = 0, 0, 0, 0, kept_whole(file)
        for group in range(file.metadata.num_row_groups):
            first, number = number, number + file.metadata.row_group(group).num_rows
            if first >= high or number <= low:
                continue
            weight = weigh(self.stream, file.metadata, group, leaves, whole)
            packed += weight.unpacked
            refuse_bomb(self.where, packed, 0, self.size)
            if weight.held > MAX_HELD:
                raise self._bomb()
            for row, batch in enumerate(file.iter_batches(1, row_groups=[group], columns=names, use_threads=False), first):
                if row < low:
                    continue
                if row >= high:
                    return
                count += 1
                batch = own_cells(batch)
                decoded += batch.nbytes
                refuse_bomb(self.where, decoded, count, self.size)
                yield self._row(count, batch, features)

    def _row(self, number: int, batch: pa.RecordBatch, features: dict[str, Any]) -> Row:
        if batch.nbytes > MAX_LINE:
            return too_long(number, batch.nbytes, "row")
        try:
            return Row(number, self.renamed.row(with_names(plain_row(batch), features)))
        except ValueError as error:
            return Row(number, None, str(error))

    def _wanted(self, file: pq.ParquetFile, wanted: Wanted) -> list[str]:
        """Return the file's names of the columns to read."""
        metadata = file.metadata
        declared = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        refuse_bomb(self.where, declared, metadata.num_rows, self.size)
        if not metadata.num_rows:
            raise InputError("has no rows", where=self.where, hint="give a file with one article a row")
        return columns_to_read(file.schema_arrow, self.renamed, wanted, self.where, MAX_ITEMS)

    def _bomb(self) -> InputError:
        return too_much(self.where)
