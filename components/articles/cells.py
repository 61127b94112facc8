"""Cells of people's tables: what a value of any writer's type says as short text, as a score, or whether it says nothing.

Warehouses, data frames and JSON write one id as "7", 7, 7.0, Decimal("7") or sixteen bytes, and one missing value as null, NaN,
NaT or the text that a data frame makes of them. A value is converted where that loses nothing, and refused where it would.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any
from uuid import UUID

EXACT = 2**53  # from here on a float stands for several integers
MAX_SHORT = 4_000
DATABASE_NULL = "\\N"  # in exports of MySQL and PostgreSQL
# What writers make of a missing value: data frames by str(), R, databases by their exports, and sheets.
WORDS_FOR_MISSING = frozenset({"nan", "NaN", "NaT", "<NA>", "None", "NA", "NULL", "null", "#N/A"})
# A number as text, in plain digits; Python's own form reads 1_0 as ten, and digits of any script.
NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*")


class ShownCell:
    """What a cell shows that no row takes for text or number: #NAME?, a percentage, a float that has lost digits."""

    def __init__(self, shown: str) -> None:
        """Note what it shows.

        Args:
            shown: as a person sees it.
        """
        self._shown = shown

    def __str__(self) -> str:
        return self._shown


def clean(text: str) -> str:
    """Make a text fit to be written as UTF-8.

    Args:
        text: any text.

    Returns:
        The text without NUL characters, lone surrogates replaced by U+FFFD.
    """
    try:
        text.encode()  # much faster than to look for a pattern
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "")


def is_missing(value: Any) -> bool:
    """True if a cell says nothing: null, NaN, NaT, pandas.NA, or the word of a database for null.

    Args:
        value: the cell.

    Returns:
        Whether it is one of them; the empty text is not.
    """
    if value is None or (isinstance(value, str) and value == DATABASE_NULL):
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA is neither equal nor unequal to itself
        return True


def long_text(value: Any) -> str:
    """Return content as text.

    Args:
        value: the cell.

    Returns:
        The text, cleaned; empty where the cell is missing.

    Raises:
        ValueError: the cell is not text; the message goes on from the column's name.
    """
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        value = _decoded(value)
    if not isinstance(value, str):
        raise ValueError(f"is not text but {shown(value)}")
    return clean(value)


def title_text(value: Any) -> str:
    """Return a title as text; one that is a number or a date is written as a person would.

    Args:
        value: the cell.

    Returns:
        The text, cleaned; empty where the cell is missing.

    Raises:
        ValueError: the cell is an object, a list, true or false; the message goes on from the column's name.
    """
    return long_text(value) if isinstance(value, str | bytes) else short_text(value)


def short_text(value: Any) -> str:
    """Return an id, a source, a language, an address or a date as text.

    Args:
        value: the cell: text, a whole number of any type, a fraction, a date, a UUID, or bytes.

    Returns:
        The text without white space at either end; empty where the cell is missing.

    Raises:
        ValueError: the cell is none of them, too long, or a number that has lost digits; the message goes on from the
            column's name.
    """
    if is_missing(value):
        return ""
    if isinstance(value, float | Decimal):
        text = _number_text(value)
    elif hasattr(value, "isoformat"):
        text = str(value.isoformat())
    elif isinstance(value, bytes):
        text = _bytes_text(value)
    elif isinstance(value, str | int | UUID) and not isinstance(value, bool):
        text = str(value)
    else:
        raise ValueError(f"is not text but {shown(value)}")
    text = clean(text).strip()
    if len(text) > MAX_SHORT:
        raise ValueError(f"has {len(text):,} characters, more than {MAX_SHORT:,}")
    return text


def score(name: str, value: Any, what: str, scale: tuple[float, float] = (0.0, 10.0)) -> float:
    """Return a score as a number.

    Args:
        name: the dimension, for the error.
        value: the cell.
        what: "score" or "reference", for the error.
        scale: what becomes 0, and what becomes 10.

    Returns:
        The number, 0 to 10.

    Raises:
        ValueError: the cell is no number, or outside its scale.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{what} of '{name}' is not a number but {shown(value)}")
    none, full = scale
    low, high = min(scale), max(scale)
    if (isinstance(value, Decimal) and value.is_nan()) or not low <= value <= high:  # written so that NaN fails
        raise ValueError(f"{what} {shown(value)} of '{name}' is outside {low:g} to {high:g}")
    number = float(value) if scale == (0, 10) else 10 * (float(value) - none) / (full - none)
    return number + 0.0  # -0.0 becomes 0.0


def shown(value: Any) -> str:
    """Return a cell as an error shows it, in 60 characters at most.

    Args:
        value: the cell.

    Returns:
        JSON, or the kind of a list or an object.
    """
    if isinstance(value, list | dict | tuple):
        return "a list" if isinstance(value, list) else "an object"
    return "null" if value is None else json.dumps(value, default=str, ensure_ascii=False)[:60]


def _number_text(value: float | Decimal) -> str:
    """Return a number without an exponent and without zeros behind the point."""
    if not math.isfinite(value):
        raise ValueError(f"is not a finite number but {value}")
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    if isinstance(value, float) and abs(value) >= EXACT:
        raise ValueError(f"is the number {value:g}, which has lost digits: above 2^53 write whole numbers or text, not floats")
    text = format(exact, "f") if abs(exact.adjusted()) < MAX_SHORT else str(exact)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _bytes_text(value: bytes) -> str:
    """Return sixteen bytes as a UUID, others as the text they are in UTF-8, or else in hexadecimal digits."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not any(unicodedata.category(character) in ("Cc", "Cn", "Co") for character in text):
        return text
    return str(UUID(bytes=value)) if len(value) == 16 else value.hex()


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
