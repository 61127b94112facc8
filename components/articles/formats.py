"""A row of a file, whichever form the file has, and the caps on what a file may hold.

Files are untrusted: lines, decoded sizes and row counts are capped before anything is decoded, so a bomb is refused in
seconds. The caps are generous (a ratio of 100:1 beyond 256 MB, 8 MB a line); real text stays below 20:1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from distillery.filters.errors import InputError
from distillery.filters.strict_json import BOM, loads

MAX_LINE = 8 * 2**20  # a longer line is a bad row: 1,000,000 characters fit even when each is escaped as \uXXXX
HUGE_LINE = 64 * 2**20  # and one longer than this is no table of articles at all
FREE_BYTES = 256 * 2**20  # unpacked, below which no ratio is too high
MAX_RATIO = 100


def bare(text: bytes) -> bytes:
    """Return a text without what comes before its first sign: white space and byte order marks, also where files were joined.

    Args:
        text: a file's first bytes, a line, or a value.

    Returns:
        The same from its first sign on.
    """
    return text.lstrip().removeprefix(BOM.encode()).lstrip()


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        line: number of the line (JSONL) or row (Parquet), counted from 1.
        value: the row as an object; None where it is bad.
        fault: what is wrong with a bad row, empty otherwise.
    """

    line: int
    value: dict[str, Any] | None
    fault: str = ""


def too_long(number: int, length: int, what: str) -> Row:
    """Return the bad row that stands for one above `MAX_LINE`.

    Args:
        number: its line number, from 1.
        length: its length in bytes.
        what: "line" or "row".

    Returns:
        The row, with its fault.
    """
    return Row(number, None, f"the {what} is {length / 2**20:.0f} MB long, more than {MAX_LINE // 2**20}")


def json_row(number: int, line: bytes) -> Row:
    """Parse one line of JSON; a line that is not an object becomes a bad row.

    Args:
        number: its line number, from 1.
        line: its bytes, without white space at either end.

    Returns:
        The row, or one with a fault.
    """
    try:
        value = loads(line)
    except UnicodeDecodeError as error:
        return Row(number, None, f"is not UTF-8 at byte {error.start + 1}")
    except RecursionError:
        return Row(number, None, "is nested too deep")
    except ValueError as error:
        more = getattr(error, "msg", "") == "Extra data"
        fault = (
            "has more behind its object: write one object a line, without commas between them"
            if more
            else f"is not JSON: {error}"
        )
        return Row(number, None, fault)
    if not isinstance(value, dict):
        return Row(number, None, f"is not a JSON object but {_type_name(value)}")
    return Row(number, value)


def refuse_bomb(where: str, decoded: int, rows: int, size: int) -> None:
    """Refuse a file that unpacks to more than honest data do.

    Args:
        where: the file, as an error names it.
        decoded: bytes unpacked so far.
        rows: rows or lines read so far.
        size: bytes of the file as it is stored.

    Raises:
        InputError: it unpacks to more than 256 MB and 100 times its size, or has more rows than bytes.
    """
    if (decoded > FREE_BYTES and decoded > MAX_RATIO * size) or rows > size + 1_000:
        raise InputError(
            f"unpacks to more than {MAX_RATIO} times its size, as only a bomb does",
            where=where,
            hint="look at what made this file",
        )


def _type_name(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
