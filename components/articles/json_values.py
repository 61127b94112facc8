"""JSON values that are no lines: one list, objects over several lines, or one after another. Memory holds one value.

A value is found by its brackets and quotes alone, then parsed like a line. One that ends where it should not is a bad row, and
the next object that begins a line is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from distillery.components.articles.formats import HUGE_LINE, MAX_LINE, Row, bare, json_row, too_long
from distillery.filters.errors import InputError

_SIGN = re.compile(rb'["{}\[\],\n\\]')
_CLOSES = {b"}": b"{", b"]": b"["}


def json_rows(pieces: Iterable[bytes], where: str) -> Iterator[Row]:
    """Yield the objects of a text, each by the line it begins in, or by its number in a list.

    Args:
        pieces: the text in UTF-8, in pieces of any size.
        where: the file, for errors.

    Yields:
        Each row, good or bad.

    Raises:
        InputError: a list is cut short, or a value is longer than 64 MB.
    """
    values = _Values(where)
    for piece in pieces:
        yield from values.feed(piece)
    yield from values.end()


class _Values:
    """Cuts a text into values: those of lists, and those that stand alone."""

    def __init__(self, where: str) -> None:
        self.where, self.line, self.listed = where, 1, False
        self.open: list[bytes] = []  # brackets of the value
        self.within = self.escaped = False  # a text; the sign behind a backslash
        self.value, self.length, self.begun, self.count = bytearray(), 0, 1, 0

    def feed(self, piece: bytes) -> Iterator[Row]:
        place = 0
        if self.escaped and piece:
            self.escaped, place = False, 1
            self._keep(piece[:1])
        while place < len(piece):
            match = _SIGN.search(piece, place)
            end = match.start() if match else len(piece)
            self._keep(piece[place:end])
            place = end
            if match:
                place += 1
                yield from self._sign(match[0], piece, place)
                if match[0] == b"\\" and self.within:
                    self._keep(piece[place : place + 1])
                    self.escaped, place = place >= len(piece), place + 1

    def _sign(self, sign: bytes, piece: bytes, place: int) -> Iterator[Row]:
        if sign == b"\n":
            if self.within:  # no text of JSON holds a line break: this one was never closed
                self.within = False
                yield from self._done()
            elif self.open:
                self._keep(sign)
            elif not self.listed:
                yield from self._done()
            self.line += 1
        elif self.within or sign == b"\\":
            self._keep(sign)
            self.within = self.within and sign != b'"'
        elif sign == b'"':
            self._keep(sign)
            self.within = True
        elif self.open and not (sign == b"{" and not self.listed and self.value.endswith(b"\n")):
            yield from self._bracket(sign)
        elif sign in b"{[" and not (sign == b"[" and not self.listed and not bare(bytes(self.value))):
            yield from self._done()
            self._keep(sign)
            self.open.append(sign)
        elif sign == b"[":
            yield from self._done()  # a byte order mark at most
            self.listed = True
        elif sign == b"]" and self.listed:
            yield from self._done()
            self.listed = False
        elif sign == b"," and self.listed:
            yield from self._done()
        else:
            self._keep(sign)

    def _bracket(self, sign: bytes) -> Iterator[Row]:
        self._keep(sign)
        if sign in b"{[":
            self.open.append(sign)
        elif sign in _CLOSES and (self.open.pop() != _CLOSES[sign] or not self.open):
            yield from self._done()

    def _keep(self, text: bytes) -> None:
        if not self.length:
            text = text.lstrip(b" \t\r")
            self.begun = self.line
        self.length += len(text)
        if self.length <= MAX_LINE:
            self.value += text
        elif self.length >= HUGE_LINE:
            what = f"has a value longer than {HUGE_LINE // 2**20} MB"
            raise InputError(what, where=f"{self.where}:{self.begun}", hint="give JSON Lines: one article a line")

    def _done(self) -> Iterator[Row]:
        value, length = bare(bytes(self.value)).rstrip(), self.length
        self.value, self.length, self.open = bytearray(), 0, []
        if not value:
            return
        self.count += 1
        number = self.count if self.listed else self.begun
        yield too_long(number, length, "value") if length > MAX_LINE else json_row(number, value)

    def end(self) -> Iterator[Row]:
        if self.listed:
            what = f"is a JSON list that can't be read: there is no ] behind row {self.count:,}"
            raise InputError(what, where=self.where, hint="copy or download it again")
        yield from self._done()
