r"""Characters that nobody meant to write: what double quotes of YAML make of \b, and spaces that look like others.

In double quotes YAML reads escapes itself: "\bword\b" reaches the pattern as a backspace before and behind the word, matches
nothing, and looks right. Such characters are refused wherever a filter is read by a machine: in patterns, rules and names.
Prose may hold spaces of any kind, and line breaks. Places of files are the owner's own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from pydantic import BaseModel

Path = tuple[str | int, ...]

_PROSE = frozenset({"description", "judge", "outOfScope", "meaning", "because", "instructions", "instruction"})
_PLACES = frozenset({"replies", "articles", "labels"})
_YAML = {
    "\0": r"\0", "\a": r"\a", "\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r", "\x1b": r"\e",
    "\x85": r"\N", "\xa0": r"\_", "\u2028": r"\L", "\u2029": r"\P",
}  # fmt: skip
_NO_BREAK = "\u00a0\u2007\u202f"


def odd_characters(model: BaseModel, path: Path) -> Iterator[tuple[Path, str, str]]:
    """Look for characters that a machine would take for something else than a reader does.

    Args:
        model: a section of a filter.
        path: where it is in the file.

    Yields:
        Path of a text, what is wrong with it, and how to fix it.
    """
    for where, text in _texts(model, path):
        noun = _noun(where)
        if noun and (char := next((char for char in text if _odd(char, noun)), None)):
            name = unicodedata.name(char, "control character").lower()
            what = f'{noun} "{text[:60]}" holds U+{ord(char):04X} ({name})'
            escape = f", in which {_YAML[char]} stays as it is" if char in _YAML else ""
            yield where, what, f"use single quotes{escape}, or leave the character out"


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name), (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, str):
        yield path, value


def _noun(path: Path) -> str:
    key = next(step for step in reversed(path) if isinstance(step, str))
    if "prefilter" in path:
        return "pattern"
    return "text" if key in _PROSE else "" if key in _PLACES else "rule" if key in ("when", "unless") else "name"


def _odd(char: str, noun: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cc":
        return not (char in "\n\r\t" and noun == "text") and not (char == "\n" and noun == "rule")
    if noun == "text":
        return False
    return category in ("Zl", "Zp") or char in _NO_BREAK or (category in ("Cf", "Zs") and char != " " and noun != "pattern")
