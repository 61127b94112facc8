"""The one reader of JSON from outside: a key stated twice is a fault, and never the last one wins."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

BOM: Final = "\ufeff"


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


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
