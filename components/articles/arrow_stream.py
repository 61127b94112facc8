"""Rows of an Arrow stream, which is what `datasets` saves a data set as: one batch at a time, and none before it was weighed.

What is not compressed takes as much memory as it takes bytes of the file, so messages are walked by their headers first, and
a compressed one is refused: its own bytes say what it unpacks to. Each batch is checked whole before a cell is read, since an
offset in it may point anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from distillery.components.articles.arrow_rows import columns_to_read, own_cells, plain_row, too_much
from distillery.components.articles.columns import Renamed, Wanted
from distillery.components.articles.formats import MAX_LINE, Row, refuse_bomb, too_long
from distillery.components.articles.hub_features import features_of, with_names
from distillery.components.articles.parquet_pages import MAX_FOOTER, MAX_HELD, Readable
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

MARK: Final = b"\xff\xff\xff\xff"
DICTIONARY, BATCH = 2, 3  # kinds of messages; 1 is the schema


def arrow_rows(stream: Readable, size: int, where: str, renamed: Renamed, wanted: Wanted) -> Iterator[Row]:
    """Yield the rows of an Arrow stream.

    Args:
        stream: the file, seekable.
        size: its bytes.
        where: the file, for errors.
        renamed: columns that are read under other names.
        wanted: the columns to read.

    Yields:
        Each row under our names, numbered from 1; a bad one where its cells can't be read.

    Raises:
        InputError: the file is cut short or damaged, unpacks to more than it has bytes, or is no table of articles.
    """
    import pyarrow as pa

    try:
        _weigh(stream, size, where)
        stream.seek(0)
        with pa.ipc.open_stream(stream) as batches:
            names, number, decoded = columns_to_read(batches.schema, renamed, wanted, where), 0, 0
            features = features_of(batches.schema.metadata)
            for batch in batches:
                for row, weight in _rows(batch.select(names), number, renamed, features):
                    decoded += weight
                    refuse_bomb(where, decoded, 0, size)
                    yield row
                number += batch.num_rows
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes the decoder say
        reason = str(error).partition("\n")[0][:200]
        raise InputError(f"is a damaged Arrow file: {reason}", where=where, hint="save the data set again") from error


def _rows(batch: pa.RecordBatch, before: int, renamed: Renamed, features: dict[str, Any]) -> Iterator[tuple[Row, int]]:
    """Yield the rows of a batch, each with its bytes."""
    whole = _is_sound(batch)
    for place in range(batch.num_rows):
        number, row = before + place + 1, batch.slice(place, 1)
        if not (whole or _is_sound(row)):
            yield Row(number, None, "has a cell that is damaged"), 0
            continue
        row = own_cells(row)
        if row.nbytes > MAX_LINE:
            yield too_long(number, row.nbytes, "row"), row.nbytes
            continue
        try:
            value, fault = renamed.row(with_names(plain_row(row), features)), ""
        except ValueError as error:
            value, fault = None, str(error)
        yield Row(number, value, fault), row.nbytes


def _is_sound(batch: pa.RecordBatch) -> bool:
    try:
        batch.validate(full=True)
    except Exception:  # Arrow has several kinds, of which none tells more
        return False
    return True


def _weigh(stream: Readable, size: int, where: str) -> None:
    """Refuse a stream that is cut short, or whose messages take more memory than they have bytes."""
    place, rows = 0, 0
    while place < size:
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8 or head[:4] != MARK:
            raise InputError("is cut short, or has bytes behind its end", where=where, hint="copy or download it again")
        length = struct.unpack("<i", head[4:])[0]
        if length == 0:  # the end that writers state
            return
        if not 0 < length <= MAX_FOOTER:
            raise too_much(where)
        kind, table, body = _message(stream.read(length))
        compressed, count = False, 0
        if kind in (DICTIONARY, BATCH):
            batch = table.child(1) if kind == DICTIONARY else table
            compressed, count = batch.has(3), batch.number(0)
        rows += max(count, 0)
        place += 8 + length + body
        if compressed:
            hint = "save it without compression, or as Parquet"
            raise InputError("is an Arrow file with compressed columns, which is not read", where=where, hint=hint)
        if not 0 <= body <= MAX_HELD or count < 0:
            raise too_much(where)
        if place > size:
            raise InputError("is cut short", where=where, hint="copy or download it again")
        refuse_bomb(where, 0, rows, size)


class _Table:
    """A table of FlatBuffers, in which the headers of messages are written: fields by number, those left out have no place."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place
        self.fields = place - struct.unpack_from("<i", data, place)[0]
        self.size = struct.unpack_from("<H", data, self.fields)[0]

    def at(self, field: int) -> int:
        entry = 4 + 2 * field
        offset = struct.unpack_from("<H", self.data, self.fields + entry)[0] if entry < self.size else 0
        return self.place + offset if offset else 0

    def has(self, field: int) -> bool:
        return bool(self.at(field))

    def number(self, field: int, form: str = "<q") -> int:
        place = self.at(field)
        return int(struct.unpack_from(form, self.data, place)[0]) if place else 0

    def child(self, field: int) -> _Table:
        place = self.at(field)
        if not place:
            raise ValueError("a message has no header")
        return _Table(self.data, place + struct.unpack_from("<I", self.data, place)[0])


def _message(data: bytes) -> tuple[int, _Table, int]:
    """Return a message's kind, its header, and the bytes behind it."""
    message = _Table(data, struct.unpack_from("<I", data, 0)[0])
    return message.number(1, "<B"), message.child(2), message.number(3)
