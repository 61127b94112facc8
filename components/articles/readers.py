"""The one reader of rows: a whole file, or the part of it that begins in a range of its bytes. Memory stays flat.

A line belongs to the part in which it begins. It begins at the place of its first byte in the file; in a gzip file at the place
of the 64 KiB block of compressed bytes that its first byte came out of, so parts of gzip are cut as evenly as those of JSONL.
The rows of a Parquet file are shared out by their number. All others are read by the part that has the file's first byte.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from distillery.components.articles.arrow_stream import arrow_rows
from distillery.components.articles.columns import Renamed, Wanted
from distillery.components.articles.csv_rows import csv_rows
from distillery.components.articles.formats import HUGE_LINE, MAX_LINE, Row, bare, json_row, refuse_bomb, too_long
from distillery.components.articles.forms import CUT, HEAD, READ, Kind, file_kind
from distillery.components.articles.json_values import json_rows
from distillery.components.articles.parquet_rows import ParquetRows
from distillery.components.articles.workbook import sheet_rows
from distillery.filters.errors import InputError, disk_hint

BLOCK = 65_536  # bytes of a gzip file that count as one place
UNPACKED = 2**20  # bytes that a block is unpacked to at a time

Stream: TypeAlias = BinaryIO | io.BufferedReader
Line: TypeAlias = tuple[bytes, int]  # the first 8 MB of a line, and the length of all of it


def read_rows(
    path: Path,
    columns: frozenset[str],
    prefixes: tuple[str, ...] = (),
    renamed: Renamed | None = None,
    endings: tuple[str, ...] = (),
) -> Iterator[Row]:
    """Yield the rows of a file on this machine.

    Args:
        path: a file of any form that `forms` tells.
        columns: names of the columns to read from a Parquet file.
        prefixes: beginnings of names; columns that begin so are read, too.
        renamed: columns that are read under other names; None for none.
        endings: ends of names; columns that end so are read, too.

    Yields:
        Each row, good or bad, with its number.

    Raises:
        InputError: the file as a whole can't be read: missing, empty, without rows, cut short, damaged, a bomb.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(path), hint="check the path") from error
    except IsADirectoryError as error:
        raise InputError("is a folder", where=str(path), hint=f"give one file: {READ}") from error
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", where=str(path), hint=disk_hint(error)) from error
    if not size:
        raise InputError("is empty", where=str(path), hint="give a file with one article a line")
    kind = file_kind(head, str(path))
    yield from Rows(
        lambda: path.open("rb"),
        kind,
        size,
        str(path),
        columns=columns,
        prefixes=prefixes,
        endings=endings,
        renamed=renamed,
    )


class Rows:
    """Iterates once over the rows of a file, or over those that begin in a range of its bytes.

    Attributes:
        lines: lines read so far, blank and bad ones included. Rows are numbered by it, from the start of the range.
    """

    def __init__(
        self,
        open_file: Callable[[], AbstractContextManager[Stream]],
        kind: Kind,
        size: int,
        where: str,
        *,
        columns: frozenset[str],
        prefixes: tuple[str, ...] = (),
        endings: tuple[str, ...] = (),
        renamed: Renamed | None = None,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        """Note what to read; the file is opened when the iteration begins.

        Args:
            open_file: opens the file, seekable.
            kind: its format.
            size: bytes of the file as it is stored.
            where: the file, as errors name it.
            columns: names of the columns to read from a Parquet file.
            prefixes: beginnings of names; columns that begin so are read, too.
            endings: ends of names; columns that end so are read, too.
            renamed: columns that are read under other names; None for none.
            start: the byte at which the range begins.
            end: the byte before which it ends; None for the whole file, whatever its size is by now.
        """
        self.lines = 0
        self._open, self._kind, self._size, self._where = open_file, kind, size, where
        self._wanted, self._renamed = Wanted(columns, prefixes, endings), renamed or Renamed()
        self._start, self._end, self._whole = start, size if end is None else end, end is None

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in their order, under our names.

        Raises:
            InputError: the file can't be read: no table of articles, a bomb, cut short, damaged, shorter than the range.
        """
        if self._kind not in CUT and self._start:
            return
        with self._open() as stream:
            if self._kind in ("csv", "csv.gz"):
                yield from self._counted(csv_rows(self._pieces(stream), self._where, self._renamed))
            elif self._kind == "xlsx":
                yield from self._counted(sheet_rows(stream, self._size, self._where, self._renamed))
            elif self._kind == "parquet":
                parquet = ParquetRows(stream, self._where, self._size, self._renamed)
                end = None if self._whole else self._end
                for row in parquet.rows(self._start, end, self._wanted):
                    self.lines += 1
                    yield row
            elif self._kind == "arrow":
                yield from self._counted(arrow_rows(stream, self._size, self._where, self._renamed, self._wanted))
            else:
                yield from self._objects(stream)

    def _objects(self, stream: Stream) -> Iterator[Row]:
        if self._kind in ("json", "json.gz"):
            rows = self._counted(json_rows(self._pieces(stream), self._where))
        else:
            rows = self._json_rows(self._plain_lines(stream) if self._kind == "jsonl" else self._gzip_lines(stream))
        for row in rows:
            try:
                yield row if row.value is None else row._replace(value=self._renamed.row(row.value))
            except ValueError as error:
                yield Row(row.line, None, str(error))

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of a file that is read whole; refuse one that has none."""
        for row in rows:
            self.lines += 1
            yield row
        if not self.lines:
            raise InputError("has no rows", where=self._where, hint="give a file with one article a row")

    def _pieces(self, stream: Stream) -> Iterator[bytes]:
        """Yield the text of a file that is read whole."""
        zipped = self._kind.endswith(".gz")
        pieces = (data for _, data in self._unpacked(stream)) if zipped else iter(lambda: stream.read(UNPACKED), b"")
        yield from pieces

    def _json_rows(self, lines: Iterable[Line]) -> Iterator[Row]:
        rows = 0
        for line, length in lines:
            self.lines += 1
            if length > MAX_LINE:
                rows += 1
                yield too_long(self.lines, length, "line")
                continue
            if text := bare(line).rstrip():
                rows += 1
                yield json_row(self.lines, text)
        if self._whole and not rows:
            raise InputError("has no rows", where=self._where, hint="give a file with one article a line")

    def _plain_lines(self, stream: Stream) -> Iterator[Line]:
        position = max(0, self._start - 1)  # a line begins at `start` where the byte before it ends one
        stream.seek(position)
        if self._start:
            position += self._line_length(stream, stream.readline(MAX_LINE), self._end - position)
        while self._whole or position < self._end:
            line = stream.readline(MAX_LINE)
            length = len(line) if line.endswith(b"\n") else self._line_length(stream, line)
            if not length:
                if self._whole:
                    return
                what = f"ends after {position:,} bytes, before those that were planned"
                raise InputError(what, where=self._where, hint="score what is there now")
            position += length
            yield line, length

    def _line_length(self, stream: Stream, line: bytes, enough: int = HUGE_LINE) -> int:
        """Return the length of a line that begins with `line`, read to its end or, if it is longer, beyond `enough` bytes."""
        piece, length = line, len(line)
        while piece and not piece.endswith(b"\n") and length < enough:
            piece = stream.readline(MAX_LINE)
            length += len(piece)
        if length >= HUGE_LINE:
            raise self._huge_line()
        return length

    def _huge_line(self) -> InputError:
        limit, number, hint = f"longer than {HUGE_LINE // 2**20} MB", self.lines + 1, "give JSON Lines: one article a line"
        if self._whole:
            return InputError(f"is {limit}", where=f"{self._where}:{number}", hint=hint)
        what = f"has a line {limit}, its line {number:,} after byte {self._start:,}"
        return InputError(what, where=self._where, hint=hint)

    def _gzip_lines(self, stream: Stream) -> Iterator[Line]:
        start, end = self._start, self._end
        line, length, ours = b"", 0, start == 0  # of the line that has begun and not ended
        for place, data in self._unpacked(stream):
            if place >= end and not (length and ours):
                return
            if not length:
                ours = start <= place
            if place < start:
                after = data.rfind(b"\n") + 1
                if after:
                    line, length = b"", 0
                length += len(data) - after
                ours = False
                continue
            texts = data.split(b"\n")
            for number, text in enumerate(texts):
                last = number == len(texts) - 1
                if number:
                    if place >= end:
                        return
                    line, length, ours = b"", 0, True
                if ours and length <= MAX_LINE:
                    line += text
                length += len(text) + (not last)
                if length >= HUGE_LINE:
                    raise self._huge_line()
                if ours and not last:
                    yield line, length
        if ours and length:
            yield line, length

    def _unpacked(self, stream: Stream) -> Iterator[tuple[int, bytes]]:
        """Yield the unpacked bytes, at most 1 MB at a time, each with the place of the block that they came out of."""
        decoder, decoded, lines, begun = zlib.decompressobj(31), 0, 0, False
        hint = "copy or download it again"
        try:
            for place in range(0, self._size, BLOCK):
                stream.seek(place)
                block = stream.read(BLOCK)
                while block:
                    if decoder.eof:
                        block = block.lstrip(b"\0")  # padding between members
                        if not block:
                            break
                        decoder, begun = zlib.decompressobj(31), False
                    begun = True
                    data = decoder.decompress(block, UNPACKED)
                    block = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                    decoded, lines = decoded + len(data), lines + data.count(b"\n")
                    refuse_bomb(self._where, decoded, lines, self._size)
                    if data:
                        yield place, data
        except zlib.error as error:
            after = f" after line {self.lines}" if self._whole else ""
            raise InputError(f"is damaged{after}: {error}", where=self._where, hint=hint) from error
        if begun and not decoder.eof:
            what = f"its gzip data end after line {self.lines}" if self._whole else "its gzip data don't end"
            raise InputError(f"is cut short: {what}", where=self._where, hint=hint)
