"""How commands print: JSON for scripts, digests cut short for people."""

from __future__ import annotations

import json
from typing import Any


def print_json(value: Any) -> None:
    """Print one JSON value on standard output.

    Args:
        value: What to print; NaN and infinities are refused, since JSON has none.

    Raises:
        ValueError: The value holds a number that JSON cannot say.
    """
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def short(value: object) -> str:
    """Return a value as text, a digest by its first 12 characters.

    Args:
        value: Any value.

    Returns:
        Its text; of 64 characters, as a digest has, the first 12.
    """
    text = str(value)
    return text[:12] if len(text) == 64 else text
