"""The rows of one piece of a corpus, memory flat, and how many lines the piece has.

A line belongs to the piece in which it begins. Where it begins is its first byte's place in the file; in a gzip file the place
of the 64 KiB block of compressed bytes that its first byte came out of, so pieces of gzip are cut as evenly as those of JSONL.
The caps of `distillery.components.articles.readers` hold here too: 8 MB a line, 100:1 unpacked.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from distillery.components.articles.articles import COLUMNS
from distillery.components.articles.readers import HUGE_LINE, MAX_LINE, Row, json_row, refuse_bomb, too_long, wanted_columns
from distillery.components.scoring.corpus import Corpus, Piece
from distillery.filters.errors import InputError

BLOCK = 65_536
UNPACKED = 2**20


class Rows:
    """Iterates over a piece once. A row's `line` counts from 1 at the start of the piece; `lines` is the count so far."""

    def __init__(self, corpus: Corpus, piece: Piece) -> None:
        self.corpus, self.piece, self.lines = corpus, piece, 0
        self.where = corpus.address(piece.file)

    def __iter__(self) -> Iterator[Row]:
        kind = self.corpus.files[self.piece.file].kind
        with self.corpus.open(self.piece.file) as stream:
            if kind == "parquet":
                yield from self._parquet(stream)
                return
            for line, length in self._plain(stream) if kind == "jsonl" else self._gzip(stream):
                self.lines += 1
                if length > MAX_LINE:
                    yield too_long(self.lines, length, "line")
                elif text := (line.removeprefix(b"\xef\xbb\xbf") if self.lines == 1 and not self.piece.start else line).strip():
                    row = json_row(self.lines, text)
                    if self.lines == 1 and not self.piece.start and text[:1] == b"[" and not row.value:
                        hint = f"convert it: jq -c '.[]' {self.where.rpartition('/')[2]}"
                        raise InputError("is a JSON list, not JSON Lines", where=self.where, hint=hint)
                    yield row

    def _plain(self, stream: BinaryIO | io.BufferedReader) -> Iterator[tuple[bytes, int]]:
        _, start, end = self.piece
        at = max(0, start - 1)  # a line begins at `start` where the byte before it ends one
        stream.seek(at)
        if start:
            at += self._line(stream, end - at)[1]
        while at < end:
            line, length = self._line(stream)
            if not length:
                what = f"ends after {at:,} bytes, before those that were planned"
                raise InputError(what, where=self.where, hint="score what is there now")
            at += length
            yield line, length

    def _line(self, stream: BinaryIO | io.BufferedReader, enough: int = HUGE_LINE) -> tuple[bytes, int]:
        """The line's first 8 MB and its length; reading stops beyond `enough` bytes."""
        line = piece = stream.readline(MAX_LINE)
        length = len(line)
        while piece and not piece.endswith(b"\n") and length < enough:
            piece = stream.readline(MAX_LINE)
            length += len(piece)
        if length >= HUGE_LINE:
            raise self._huge()
        return line, length

    def _huge(self) -> InputError:
        what = f"has a line longer than {HUGE_LINE // 2**20} MB, its line {self.lines + 1:,} after byte {self.piece.start:,}"
        return InputError(what, where=self.where, hint="give JSON Lines: one article a line")

    def _gzip(self, stream: BinaryIO | io.BufferedReader) -> Iterator[tuple[bytes, int]]:
        _, start, end = self.piece
        held, length, mine = b"", 0, start == 0  # of the line that has begun and not ended
        for at, data in self._unpacked(stream):
            if at >= end and not (length and mine):
                return
            if not length:
                mine = start <= at
            if at < start:
                cut = data.rfind(b"\n") + 1
                if cut:
                    held, length = b"", 0
                length += len(data) - cut
                mine = False
                continue
            lines = data.split(b"\n")
            for number, text in enumerate(lines):
                last = number == len(lines) - 1
                if number:
                    if at >= end:
                        return
                    held, length, mine = b"", 0, True
                if mine and length <= MAX_LINE:
                    held += text
                length += len(text) + (not last)
                if length >= HUGE_LINE:
                    raise self._huge()
                if mine and not last:
                    yield held, length
        if mine and length:
            yield held, length

    def _unpacked(self, stream: BinaryIO | io.BufferedReader) -> Iterator[tuple[int, bytes]]:
        """Pieces of at most 1 MB, each with the place of the compressed block it came out of."""
        size = self.corpus.files[self.piece.file].size
        decoder, decoded, lines, begun = zlib.decompressobj(31), 0, 0, False
        try:
            for at in range(0, size, BLOCK):
                stream.seek(at)
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
                    refuse_bomb(self.where, decoded, lines, size)
                    if data:
                        yield at, data
        except zlib.error as error:
            raise InputError(f"is damaged: {error}", where=self.where, hint="copy or download it again") from error
        if begun and not decoder.eof:
            raise InputError("is cut short: its gzip data don't end", where=self.where, hint="copy or download it again")

    def _parquet(self, stream: BinaryIO | io.BufferedReader) -> Iterator[Row]:
        import pyarrow.parquet as pq

        _, start, end = self.piece
        size = self.corpus.files[self.piece.file].size
        try:
            with pq.ParquetFile(stream, buffer_size=2**20, pre_buffer=False) as file:
                total = file.metadata.num_rows
                low, high = -(-start * total // size), -(-end * total // size)
                groups, first, at = list[int](), 0, 0
                for group in range(file.metadata.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if at < high and at + rows > low:
                        first = first if groups else at
                        groups.append(group)
                    at += rows
                if low >= high:
                    return
                names = wanted_columns(self.where, file, size, COLUMNS, ("reference.",))
                # Row by row, as in `distillery.components.articles.readers`: no row group is ever unpacked as a whole.
                batches = file.iter_batches(1, row_groups=groups, columns=names, use_threads=False)
                for number, batch in enumerate(batches, first):
                    if number < low:
                        continue
                    if number >= high:
                        return
                    self.lines += 1
                    if batch.nbytes > MAX_LINE:
                        yield too_long(self.lines, batch.nbytes, "row")
                        continue
                    try:
                        yield Row(self.lines, batch.to_pylist()[0])
                    except UnicodeDecodeError:
                        yield Row(self.lines, None, "is not UTF-8")
        except (InputError, GeneratorExit):
            raise
        except Exception as error:  # whatever a damaged file makes the decoder say
            reason = str(error).partition("\n")[0][:200]
            raise InputError(f"is a damaged Parquet file: {reason}", where=self.where, hint="write it again") from error
