"""The micro-syntax of the templates: `{slot}` and `[this|that]`, compiled once, rendered with a given random stream.

Alternatives do not nest and may hold slots. A slot is either fixed for an article (its topic, town, firm) or drawn anew
each time from a pool (numbers, people, months): one article would otherwise say "three" everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")
_PIECE = re.compile(r"\{(\w+)\}|\[([^\[\]]+)\]")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aei]|o(?!ne\b)|u(?:tter|n[^i]))")


class Slot(NamedTuple):
    name: str


Part = str | Slot | tuple["Template", ...]
Template = tuple[Part, ...]
Pools = Mapping[str, Sequence[str]]


def compile_template(text: str) -> Template:
    """Parse one template; ValueError where a bracket or brace is left over."""
    parts: list[Part] = []
    end = 0
    for found in _PIECE.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        if found[1]:
            parts.append(Slot(found[1]))
        else:
            parts.append(tuple(compile_template(option) for option in found[2].split("|")))
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    if any(isinstance(part, str) and set(part) & set("[]{}|") for part in parts):
        raise ValueError(f"unbalanced template: {text}")
    return tuple(parts)


def slots(template: Template) -> set[str]:
    """Names of all slots, those within alternatives included."""
    names: set[str] = set()
    for part in template:
        if isinstance(part, Slot):
            names.add(part.name)
        elif not isinstance(part, str):
            for option in part:
                names |= slots(option)
    return names


def render(template: Template, rng: Random, fixed: Mapping[str, str], pools: Pools) -> str:
    """Fill one template; KeyError for a slot that neither `fixed` nor `pools` knows."""
    out: list[str] = []
    for part in template:
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, Slot):
            value = fixed.get(part.name)
            out.append(pick(rng, pools[part.name]) if value is None else value)
        else:
            out.append(render(pick(rng, part), rng, fixed, pools))
    return "".join(out)


def pick(rng: Random, options: Sequence[T]) -> T:
    """One of `options`, uniformly; a third of the cost of `Random.choice`."""
    return options[int(rng.random() * len(options))]


def capital(text: str) -> str:
    """First letter in upper case, the rest as it is, leading quotes passed over."""
    start = 1 if text[:1] == '"' else 0
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]


def indefinite(text: str) -> str:
    """English "a" before a vowel becomes "an"; templates always write "a"."""
    return _ARTICLE.sub(r"\1n ", text)
