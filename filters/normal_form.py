r"""The form in which patterns and texts meet, so that a word is found however it was typeset.

A text is in NFC, its apostrophes, quotation marks and hyphens are those of a keyboard, what is invisible (soft hyphens,
zero-width spaces) is gone, and between two words there is one space or one line break; a blank line stays one. A pattern is
brought into the same form: its space stands for one space or one line break, so that `food safety` is found over two lines of a
paragraph, and never across a blank line. This is for matching only; oracle, student and digests get the text as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_LINE = ("\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
_SPACE = ("\t", *(chr(code) for code in (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
_APOSTROPHE = ("\u2018", "\u2019", "\u201b", "\u02bc", "\u00b4", "\uff07")
_QUOTE = ("\u201c", "\u201d", "\u201e", "\u201f", "\uff02")
_HYPHEN = ("\u2010", "\u2011", "\u2043", "\ufe63", "\uff0d")
_INVISIBLE = ("\u00ad", "\u200b", "\u2060", "\ufeff")
_PLAIN = {
    **dict.fromkeys(_LINE, "\n"),
    **dict.fromkeys(_SPACE, " "),
    **dict.fromkeys(_APOSTROPHE, "'"),
    **dict.fromkeys(_QUOTE, '"'),
    **dict.fromkeys(_HYPHEN, "-"),
}
_ODD = re.compile(f"[{re.escape(''.join(_PLAIN))}]")
_DIVIDED = re.compile("\u00ad[ \t]*\r?\n[ \t]*")  # a word, at the end of a line
_INSIDE = re.compile("[" + "".join(_INVISIBLE) + "]")
_UNSEEN = re.compile(f"{_DIVIDED.pattern}|{_INSIDE.pattern}")
_BLANKS = re.compile(r"[ \n]{2,}")
_TOKEN = re.compile(
    r"\\x\{[0-9a-fA-F]{1,6}\}|\\x[0-9a-fA-F]{2}|\\[pP]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|.", re.DOTALL
)
_PART = re.compile(r"\\Q(?P<quoted>.*?)(?:\\E|\Z)|" + _TOKEN.pattern, re.DOTALL)
_TIMES = re.compile(r"(?:(?:[*+?]|\{\d+(?:,\d*)?\})\??)?")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)
_ESCAPES = {r"\t": "\t", r"\r": "\r", r"\v": "\v", r"\f": "\f", r"\ ": " "}
_BETWEEN = r"[ \n]"  # what may stand between two words of a phrase


def normal_text(text: str) -> str:
    """Bring a text into the form that patterns are matched against.

    Args:
        text: any text.

    Returns:
        The text in normal form; in linear time.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    text = _ODD.sub(lambda match: _PLAIN[match[0]], text.replace("\r\n", "\n"))
    return _BLANKS.sub(_gap, text)


def _gap(match: re.Match[str]) -> str:
    breaks = match[0].count("\n")
    return "\n\n" if breaks > 1 else "\n" if breaks else " "


def normal_texts(texts: Sequence[str]) -> pa.LargeStringArray:
    """Bring texts into the form that patterns are matched against.

    Args:
        texts: n texts.

    Returns:
        (n,) texts in normal form.
    """
    import pyarrow as pa

    return pa.array([normal_text(text) for text in texts], pa.large_string())


def composed(pattern: str) -> str:
    r"""Bring the characters of a pattern into normal form, before it is widened.

    Args:
        pattern: the pattern, in RE2's syntax.

    Returns:
        The pattern in NFC, without invisible characters, \Q…\E written as escapes.
    """
    visible = unicodedata.normalize("NFC", _visible(_DIVIDED.sub("\u00ad", pattern)))
    return _QUOTED.sub(lambda match: match[0] if match[1] is None else re.escape(match[1]), visible).replace(r"\r\n", r"\n")


def _visible(pattern: str) -> str:
    """Return a pattern without its invisible characters, and without what says how often one of them is there."""
    found, at = list[str](), 0
    while at < len(pattern):
        match = _PART.match(pattern, at)
        assert match  # of any character
        at, last = match.end(), match["quoted"] if match["quoted"] is not None else match[0]
        kept = _INSIDE.sub("", match[0])
        if kept in ("\\", r"\Q\E", r"\Q", "[]") and kept != match[0]:
            kept = ""
        elif kept == "[^]" != match[0]:
            kept = "(?s:.)"
        if not kept or _INSIDE.fullmatch(last[-1:]):
            at = _TIMES.match(pattern, at).end()  # type: ignore[union-attr]
        found.append(kept)
    return "".join(found)


def spaced(pattern: str) -> str:
    """Make the literals of a pattern those of texts in normal form.

    Args:
        pattern: the pattern, composed and widened.

    Returns:
        The pattern, whose spaces stand for one space or one line break.
    """
    tokens, found = [*_TOKEN.findall(pattern), ""], list[str]()
    at = 0
    while at < len(tokens) - 1:
        token = tokens[at]
        at += 1
        if token[0] == "[" and len(token) > 1:
            found.append(_class(token))
        elif (char := _literal(token)) and _PLAIN.get(char, char) == " ":
            again = bool(found) and found[-1] == _BETWEEN
            if not again:
                found.append(_BETWEEN)
            if tokens[at] and (tokens[at] in "*+" or (again and tokens[at] == "?")):  # there are no two spaces in a row
                if tokens[at] == "*" and not again:
                    found.append("?")
                at += 2 if tokens[at + 1] == "?" else 1
        elif char in _PLAIN:
            found.append(r"\n" if _PLAIN[char] == "\n" else _PLAIN[char])
        else:
            found.append(token)
    return "".join(found)


def _literal(token: str) -> str:
    """Return the one character that a token of a pattern stands for; empty where it is something else."""
    if token.startswith(r"\x") and len(token) > 2:
        code = int(token[2:].strip("{}"), 16)
        return chr(code) if code <= 0x10FFFF else ""
    return token if len(token) == 1 else _ESCAPES.get(token, "")


def _class(token: str) -> str:
    """Return a class such as [ ’-], with what its characters are in normal form beside them."""
    negated = "^" if token[1] == "^" else ""
    body = token[1 + len(negated) : -1]
    parts = [*_TOKEN.findall(body), ""]
    plain: dict[str, None] = {}
    for at, part in enumerate(parts[:-1]):
        char = _literal(part)
        if char in _PLAIN:
            plain[_PLAIN[char]] = None
        if _PLAIN.get(char, char) == " " and not negated and (parts[at + 1] != "-" or at + 2 == len(parts) - 1):  # no range
            plain["\n"] = None
    if not plain:
        return token
    added = "".join({"\n": r"\n", "-": r"\-"}.get(char, char) for char in plain)
    return f"[{negated}{added}{chr(92) if body[0] in '-]' else ''}{body}]"
