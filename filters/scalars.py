r"""What an unquoted scalar of YAML stands for, and whether everybody reads it so.

Scalars are read as YAML 1.2 reads them, so 2e-5 is a number. kubectl reads by the rules of go-yaml: YAML 1.1 with additions of
its own, where 0777 is 511, 1_000 is 1000 and no is false. Other tools, PyYAML first, read 1:30 as 90 and 2024-01-01 as a date.
A scalar that one of them reads otherwise than we do has to be quoted, so that a file says one thing on all ways to a cluster.
PyYAML alone takes 2e-5 and +.5 for texts; that is no reason to refuse a number that the cluster reads as we do.
"""

from __future__ import annotations

import math
import re

_LONGEST = 64  # digits of a number; int() of a longer one takes quadratic time
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    ".nan": float("nan"),
    ".inf": float("inf"),
    "-.inf": float("-inf"),
}
_BOOLEANS = frozenset({"y", "n", "yes", "no", "on", "off"})
_WORDS = {
    **dict.fromkeys((".nan", ".inf", "-.inf", "+.inf"), "a number to kubectl"),
    "<<": "a merge of mappings to kubectl",
    "=": "a default value to other readers of YAML",
}
_BASED = re.compile(r"[-+]?0([xX][0-9a-fA-F_]+|[oO][-+]?[0-7_]+|[bB][-+]?[01_]+)")
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}:[0-9:.]*([ \t]*(Z|[-+][0-9:]+))?)?")


def resolve(text: str) -> object:
    """Read a plain (unquoted) scalar as YAML 1.2 does.

    Args:
        text: the scalar.

    Returns:
        The value.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= _LONGEST and _INT.fullmatch(text):
        return int(text)
    if len(text) <= _LONGEST and _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?0[0-9]+", text):
        return float(text)
    return text


def other_reading(text: str) -> str:
    """Return what another reader of YAML takes a plain scalar for, where that is not what `resolve` takes it for.

    Args:
        text: the scalar.

    Returns:
        Such as "a number to kubectl"; empty where all agree.
    """
    value, lower = resolve(text), text.lower()
    if isinstance(value, float) and text not in _CONSTANTS and math.isinf(value):
        return "a text to kubectl, being too large for a number,"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a rounded number to kubectl"
    if not isinstance(value, str):
        return ""
    if lower in _BOOLEANS:
        return "a boolean to kubectl"
    if lower in _WORDS:
        return _WORDS[lower]
    bare = text.replace("_", "")  # go-yaml drops underscores, wherever they stand behind the first character
    if text[0] != "_" and (_FLOAT.fullmatch(bare) or _BASED.fullmatch(bare) or _BASED.fullmatch(text)):
        return "a number to kubectl"
    if _SIXTIES.fullmatch(text):
        return "a number in base 60 to other readers of YAML"
    if _DATE.fullmatch(text):
        return "a date to other readers of YAML"
    return ""


def may_be_plain(text: str) -> bool:
    """Return whether every reader of YAML takes a text for itself where it stands without quotes.

    Args:
        text: the text.

    Returns:
        False where it must be quoted.
    """
    return isinstance(resolve(text), str) and not other_reading(text)
