r"""What is valid in a pattern, and yet not what its author meant: other engines' syntax that RE2 takes for plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"\\Q.*?(?:\\E|\Z)|\\[pPx]\{[^}]*\}|\\\\[a-zA-Z.]|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\{\d+(?:,\d*)?\}|\{[^{}]{0,20}\}?|.",
    re.DOTALL,
)
_CLASS_ALONE = re.compile(r"\[:\^?\w+:\]")
_REPEATED = re.compile(r"\{(\d+)(?:,\d*)?\}")
_BLANK = re.compile(r"\\s| |\\ |\[(?: |\\s|\\t)+\]")


def remarks(pattern: str) -> Iterator[tuple[str, str]]:
    """Look for what a pattern says otherwise than it seems to.

    Args:
        pattern: a pattern that compiles.

    Yields:
        What is odd, and how to fix it.
    """
    if re.fullmatch(r"/.+/[a-z]*", pattern, re.DOTALL):
        yield "looks for the slashes around it, too", "write the pattern without them; case makes no difference in any"
    before = ""
    for token in _TOKEN.findall(pattern):
        repeated = _REPEATED.fullmatch(token)
        if token[0] == "{" and repeated is None:
            at_most = re.fullmatch(r"\{\s*,\s*(\d+)\s*\}", token)
            hint = (
                f"write {{0,{at_most[1]}}}" if at_most else rf"write \{token} where a brace is meant, or {{1,3}} without spaces"
            )
            yield f"RE2 reads {token} as literal text", hint
        elif token in (r"\<", r"\>"):
            yield f"RE2 reads {token} as literal text", r"write \b for the edge of a word"
        elif len(token) == 3 and token.startswith("\\\\"):
            yield f"{token} is a backslash and the text {token[2]}", f"in single quotes write {token[1:]}"
        elif _CLASS_ALONE.fullmatch(token):
            yield f"{token} is a set of these letters", f"write [{token}]"
        elif token[0] == "[" and "A-z" in token:
            yield f"{token} holds the signs between Z and a, too: [ \\ ] ^ _ `", "write A-Za-z"
        elif _BLANK.fullmatch(before) and (token == before == r"\s" or (repeated and int(repeated[1]) > 1)):
            yield "asks for several spaces, and texts are matched with one space between two words", r"write \s+"
        before = token
