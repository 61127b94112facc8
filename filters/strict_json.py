"""The one reader of JSON from outside: a key stated twice is a fault, and never the last one wins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")

BOM: Final = "\ufeff"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


def once(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Build a map whose keys are each stated once.

    Args:
        pairs: keys and values, in their order.

    Returns:
        The map.

    Raises:
        ValueError: a key stands there twice, even with one value.
    """
    table: dict[str, T] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"has the key {str(key)[:60]!r} twice")
        table[key] = value
    return table


def loads(text: str | bytes, *, constants: bool = True) -> Any:
    """Parse JSON, with or without a byte order mark before it.

    Args:
        text: the text, or its bytes in UTF-8.
        constants: whether NaN and infinities are read; JSON has none.

    Returns:
        The value.

    Raises:
        ValueError: it is not JSON, or an object has a key twice.
        RecursionError: it is nested too deep.
    """
    plain = text.decode("utf-8") if isinstance(text, bytes) else text
    refusing = {} if constants else {"parse_constant": _refuse}
    return json.loads(plain.removeprefix(BOM), object_pairs_hook=once, **refusing)  # type: ignore[arg-type]


def elements(text: str) -> Iterator[str]:
    """Split a JSON list into the texts of its elements, so that one bad element is no fault of the others.

    Args:
        text: the list, with nothing but white space around it.

    Yields:
        The text of each element, which `loads` reads.

    Raises:
        ValueError: it is no list, or its JSON ends or breaks off somewhere.
        RecursionError: it is nested too deep.
    """
    plain = text.removeprefix(BOM)
    end = _skip(plain, 0)
    if plain[end : end + 1] != "[":
        raise ValueError("is no list")
    end, first = end + 1, True
    while True:
        end = _skip(plain, end)
        if plain[end : end + 1] == "]" and first:
            break
        first = False
        start = end
        _, end = _DECODER.raw_decode(plain, start)
        yield plain[start:end]
        end = _skip(plain, end)
        sign = plain[end : end + 1]
        if sign == "]":
            break
        if sign != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", plain, end)
        end += 1
    if rest := plain[end + 1 :].strip():
        raise ValueError(f"goes on behind the list: {rest[:40]!r}")


def _skip(text: str, place: int) -> int:
    """Return where the next character that is no white space stands."""
    return len(text) if (found := _SPACE.match(text, place)) is None else found.end()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
