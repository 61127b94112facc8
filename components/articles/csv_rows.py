"""CSV with a header: separated by commas, semicolons, tabs or bars, with line breaks within quotes. Memory holds one row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from typing_extensions import override

from distillery.components.articles.cells import NUMBER
from distillery.components.articles.columns import Renamed
from distillery.components.articles.formats import MAX_LINE, Row
from distillery.components.articles.forms import delimiter_of
from distillery.filters.errors import InputError
from distillery.filters.strict_json import BOM

AGAIN: Final = "is the header again, as where two files were joined"
_NUMBERS = ("score.", "reference.")


def csv_rows(pieces: Iterable[bytes], where: str, renamed: Renamed) -> Iterator[Row]:
    """Yield the rows of CSV, each by the line it begins in.

    Args:
        pieces: the text in UTF-8, in pieces of any size.
        where: the file, for errors.
        renamed: columns that are read under other names.

    Yields:
        Each row under our names, good or bad.

    Raises:
        InputError: it is no CSV, is not UTF-8, has a column twice, or a row is longer than 8 MB.
    """
    lines, place = _Lines(pieces, where), 0
    csv.field_size_limit(MAX_LINE)
    try:
        delimiter, spaced = lines.form()
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=spaced, strict=True)
        header = [name.strip() for name in next(reader, [])]
        names = renamed.header(header, where)
        while True:
            place, lines.length = lines.number + 1, 0
            if (cells := next(reader, None)) is None:
                return
            if delimiter == "\t" and lines.number > place and _swallows_rows(cells, len(header)):
                upto = f"up to line {lines.number}"
                yield Row(place, None, f"begins a cell with a quote that takes the rows {upto} into it: double such quotes")
            elif [cell.strip(f"{BOM} ") for cell in cells] == header:
                yield Row(place, None, AGAIN)
            elif any(cells):
                yield named(place, names, cells)
    except UnicodeDecodeError:
        hint = "save it as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8"
        raise InputError("is not UTF-8", where=where, hint=hint) from None
    except csv.Error as error:
        hint = "write it again, with a quote within quotes doubled"
        raise InputError(f"is no CSV: {error}", where=f"{where}:{lines.number}", hint=hint) from None


def _swallows_rows(cells: list[str], columns: int) -> bool:
    """True if a cell holds the end of its row, perhaps whole rows, and the beginning of another; databases don't quote."""
    for place, cell in enumerate(cells):
        first, *between, last = [line.count("\t") for line in cell.split("\n")] if "\n" in cell else [-1, -1]
        if first == columns - 1 - place and last == place and set(between) <= {columns - 1}:
            return True
    return False


class _Lines(Iterator[str]):
    """Iterates over the lines of a text; refuses a row that has no end."""

    def __init__(self, pieces: Iterable[bytes], where: str) -> None:
        self.text = io.TextIOWrapper(io.BufferedReader(_Stream(pieces)), encoding="utf-8-sig", newline="")
        self.where, self.again = where, ""
        self.length = self.number = 0

    def form(self) -> tuple[str, bool]:
        """Return the sign between cells, as the header has it or the line "sep=;" above it says; and if spaces follow it."""
        while (first := self.text.readline(MAX_LINE).lstrip(BOM)) and not first.strip():
            self.number += 1
        said = first.rstrip("\r\n")
        if said[:4] == "sep=" and len(said) == 5:
            self.number += 1
            self.again = self.text.readline(MAX_LINE).lstrip(BOM)
            return said[4], False
        self.again, sign = first, delimiter_of(first.encode())
        quoted = re.search(rf'{re.escape(sign)} +"', first) is not None
        return sign, quoted or 0 < first.count(sign) == first.count(f"{sign} ")

    def __next__(self) -> str:
        line, self.again = self.again or self.text.readline(MAX_LINE), ""
        if not line:
            raise StopIteration
        self.number += 1
        self.length += len(line)
        if self.length >= MAX_LINE:
            what = f"has a row longer than {MAX_LINE // 2**20} MB: a quote that is not closed?"
            raise InputError(what, where=f"{self.where}:{self.number}", hint="write it again")
        return line


class _Stream(io.RawIOBase):
    """Reads pieces of bytes as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), memoryview(b"")

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def named(line: int, names: list[str], cells: list[Any]) -> Row:
    """Return a row of a table that has a header.

    Args:
        line: its line or number, from 1.
        names: our names of the columns; empty for one that is not read.
        cells: the cells; empty ones are left out.

    Returns:
        The row; a bad one where it has more cells than the header.
    """
    if len(cells) > len(names) and any(cell not in ("", None) for cell in cells[len(names) :]):
        return Row(line, None, f"has {len(cells)} cells where the header has {len(names)}")
    row = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=False) if cell not in ("", None) and name}
    return Row(line, row)


def _cell(name: str, cell: Any) -> Any:
    """Return a cell; in columns of scores a number that is written as text is what it says."""
    return float(cell) if isinstance(cell, str) and name.startswith(_NUMBERS) and NUMBER.fullmatch(cell) else cell
