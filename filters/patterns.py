r"""The patterns of a prefilter, on RE2 as Arrow has it: linear time, so no pattern and no text makes it backtrack for ever.

RE2 by itself knows ASCII words only: `\w` would end at the é of "énergie", and `\bpart\b` be found in "départ". So `\w`, `\d`,
`\s` are widened to Unicode here, and `\b` where a pattern, or one side of its outermost |, begins or ends with it. Elsewhere
`\b` stays ASCII; there `(^|\W)` does what it can't. Patterns and texts meet in `distillery.filters.normal_form`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.filters.normal_form import composed, spaced

if TYPE_CHECKING:
    import pyarrow as pa

INNER_EDGE = re.compile(r"\\b[(?:]*[^\x00-\x7f]|[^\x00-\x7f]\)*\\b")  # in a widened pattern: an ASCII \b beside other letters
_WORD = r"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}"
_WIDE = {r"\w": _WORD, r"\d": r"\p{Nd}", r"\s": r"\s\v\x{85}\p{Z}"}
_ALONE = {name: f"[{wide}]" for name, wide in _WIDE.items()} | {name.upper(): f"[^{wide}]" for name, wide in _WIDE.items()}
_TOKEN = re.compile(r"\\Q.*?(?:\\E|\Z)|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\\.|.", re.DOTALL)


def matching(texts: pa.Array, pattern: str) -> pa.BooleanArray:
    """Look for a pattern in texts, without regard to case.

    Args:
        texts: n texts in normal form.
        pattern: the pattern, in RE2's syntax.

    Returns:
        (n,) whether it was found.

    Raises:
        ValueError: the pattern does not compile.
    """
    import pyarrow.compute as pc

    return pc.match_substring_regex(texts, runnable(pattern), ignore_case=True)


def compile_fault(pattern: str) -> str | None:
    """Check that a pattern compiles.

    Args:
        pattern: the pattern, in RE2's syntax.

    Returns:
        What keeps it from compiling, in RE2's words, or None.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        for form in (pattern, runnable(pattern)):  # first as its author wrote it: its errors quote that
            pc.match_substring_regex(pa.array([""]), form, ignore_case=True)
    except pa.ArrowInvalid as error:
        return str(error).removeprefix("Invalid regular expression: ")[:100]
    return None if runnable(pattern) else "holds nothing that can be seen"


def runnable(pattern: str) -> str:
    """Return a pattern as the engine runs it over texts in normal form.

    Args:
        pattern: the pattern as its author wrote it.

    Returns:
        The pattern, in RE2's syntax.
    """
    return spaced(widened(composed(pattern)))


def widened(pattern: str) -> str:
    """Return a pattern with Unicode's words, digits and white space in place of ASCII's.

    Args:
        pattern: the pattern.

    Returns:
        The pattern in RE2's syntax.
    """
    tokens, depth, found = [*_TOKEN.findall(pattern)], 0, []
    for at, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        before, after = (tokens[at - 1] if at else "|"), (tokens[at + 1] if at + 1 < len(tokens) else "|")
        if token == r"\b" and not depth and before == "|" and (after[-1].isalnum() or after[0] in "_(["):
            found.append(rf"(?:\A|[^{_WORD}])")
        elif token == r"\b" and not depth and after == "|" and (before[-1].isalnum() or before[-1] in "_)]+*?}"):
            found.append(rf"(?:\z|[^{_WORD}])")
        elif token[0] == "[":
            found.append(re.sub(r"\\.", lambda escape: _WIDE.get(escape[0], escape[0]), token, flags=re.DOTALL))
        else:
            found.append(_ALONE.get(token, token))
    return "".join(found)
