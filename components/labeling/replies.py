"""What a language model wrote, read as scores: repaired where nothing is invented, refused everywhere else.

Three readings, the first that holds wins: plain JSON (fences, prose and other objects around it are no matter); the same
with bad escapes doubled, which loses nothing; and json-repair (trailing commas, comments, single quotes, Python literals,
a cut tail), believed only where the text itself states each score beside its key, once or always alike. The trade-off: a
reply that a person could still make sense of ("about 7", two drafts that differ) is refused and asked again, which costs a
call; a score nobody stated would cost the student's trust.

A score may be a number, a string that holds one ("7", "7/10"), or an object {"score": 7, ...}; at the top level or under
"scores", "dimensions" or one wrapping object. Numbers count only when they are complete: one at the very end of a cut
reply might have gone on.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from distillery.components.articles.articles import Article, clean
from distillery.components.labeling.injections import obeyed, orders
from distillery.components.labeling.oracles.base import RawReply
from distillery.filters.filter import Filter
from distillery.filters.prompt import NO_TYPE

MAX_CHARACTERS: Final = 100_000
MAX_BRACKETS: Final = 2_000  # json-repair takes 0.1 s for as many unclosed ones, and grows with their square
TABLES: Final = ("scores", "dimensions")

# A brace that opens an object, not one of prose or LaTeX.
OPENING = re.compile(r"""\{(?=\s*(?:["'“}]|[A-Za-z_][\w-]*\s*:|//|/\*|\#))""")
GOOD_OR_BAD_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]|(?P<bad>))')
THINKING = re.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
CLOSING_FENCE = re.compile(r"\n\s*```\s*(?:\n|$)")
NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
WORDED = re.compile(rf"\s*(?P<number>{NUMBER})(?:\s*/\s*10)?\s*")
# What ends a complete number: never the end of the text, and nothing after which the number might go on ("7,5", "7\n5").
STATED = re.compile(
    rf"""(?:(?P<quote>["'“‘])\s*(?P<worded>{NUMBER})(?:\s*/\s*10)?\s*["'”’](?![^\s,}}\];\#/])"""
    rf"""|(?P<plain>{NUMBER})(?:\s*/\s*10)?"""
    rf"""(?=\s*(?:[,}}](?!\s*[0-9.])|;|//|/\*)|\s+(?:\#|["'“‘][A-Za-z])|[ \t\r]*\n(?!\s*[0-9./])))"""
)
INNER_SCORE = re.compile(r"""["'“‘]?score["'”’]?\s*:\s*""")
DECODER = json.JSONDecoder(strict=False, object_pairs_hook=lambda pairs: _once(pairs))


class _Twice:
    """Stands for a key that an object states more than once, differently."""


@dataclass(frozen=True)
class Reply:
    """A reply that was read.

    Attributes:
        scores: one for each dimension, 0 to 10, in the order asked for.
        content_type: the content type; None where there is none.
        repaired: what had to be repaired to read it.
    """

    scores: dict[str, float]
    content_type: str | None
    repaired: list[str]


def read_reply(flt: Filter, article: Article, raw: RawReply) -> Reply:
    """Read the scores of an oracle's reply to an article.

    Args:
        flt: the filter, with the dimensions and content types asked for.
        article: what the oracle was asked about.
        raw: what it wrote.

    Returns:
        A score for each dimension.

    Raises:
        ValueError: the reply was blocked or cut, can't be read, or obeys the article instead of the rubric.
    """
    text = clean(raw.text)
    if raw.finish == "blocked":
        raise ValueError("the oracle blocked its reply")
    try:
        reply = parse(text, flt.dimensions, [kind.name for kind in flt.spec.contentTypes])
    except ValueError as error:
        if raw.finish == "length":
            raise ValueError(f"the reply was cut at oracle.maxOutputTokens: {error}") from None
        raise
    if orders(article) and (reason := obeyed(article, text, {"reasoning", "content_type", *flt.dimensions})):
        raise ValueError(f"the reply obeys the article: {reason}")
    return reply


def parse_reply(text: str, dimensions: Sequence[str]) -> dict[str, float]:
    """Read the scores of a reply.

    Args:
        text: what the model wrote.
        dimensions: names of the dimensions.

    Returns:
        The score of each dimension, 0 to 10.

    Raises:
        ValueError: the reply is not usable; the message says why.
    """
    return parse(text, dimensions).scores


def parse(text: str, dimensions: Sequence[str], content_types: Sequence[str] | None = None) -> Reply:
    """Read scores and content type of a reply.

    Args:
        text: what the model wrote.
        dimensions: names of the dimensions.
        content_types: names to choose from, besides "none", which gives None; without any, the content type is not read.

    Returns:
        The reply, with a score for each dimension.

    Raises:
        ValueError: the reply is not usable, and no part of it is; the message says why.
    """
    if not text.strip():
        raise ValueError("the reply is empty")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the reply has {len(text):,} characters, more than {MAX_CHARACTERS:,}")
    repaired: list[str] = []
    mended: str | None = None
    if thinking := THINKING.match(text):
        text = text[thinking.end() :]
        repaired.append("thinking before the answer")
    try:
        roots, broken = _objects(text)
        if broken is not None:
            escaped = GOOD_OR_BAD_ESCAPE.sub(lambda m: "\\\\" if m["bad"] is not None else m[0], text)
            if escaped != text:
                text = escaped
                repaired.append("bad escapes")
                roots, broken = _objects(text)
        roots = [root for root in roots if _tables(root, dimensions)]
        if not roots and broken is not None:
            roots = [root for root in _mend(text[broken:]) if _tables(root, dimensions)]
            repaired.append("malformed JSON")
            mended = text[broken:]
            stated = [_stated_everywhere(text[broken:], name, required=True) for name in dimensions]
        else:
            stated = [_stated_everywhere(text[broken:], name) if broken is not None else [] for name in dimensions]
    except RecursionError:
        raise ValueError("the reply is nested too deeply") from None
    if not roots:
        raise ValueError("the reply holds no JSON object with any of the dimensions")
    if not text.strip().startswith("{") or not text.strip().endswith("}"):
        repaired.append("text around the JSON")
    scores = {}
    for name, literal in zip(dimensions, stated, strict=True):
        values = [table[name] for root in roots for table in _tables(root, dimensions) if name in table]
        stated_scores = {_score(name, value) for value in values} | set(literal)
        if not values:
            raise ValueError(f"{name} is missing")
        if len(stated_scores) > 1:
            raise ValueError(f"{name} is stated more than once, differently")
        scores[name] = stated_scores.pop()
    return Reply(scores, _content_type(roots, content_types, mended), repaired)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which a key stated twice with different values is marked instead of the last one winning."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        same = key not in table or (table[key] == value and isinstance(table[key], bool) == isinstance(value, bool))
        table[key] = value if same else _Twice()
    return table


def _objects(text: str) -> tuple[list[dict[str, Any]], int | None]:
    """The outermost JSON objects in the text, up to the first that does not parse; its position, else None."""
    roots: list[dict[str, Any]] = []
    position = 0
    while opening := OPENING.search(text, position):
        try:
            value, position = DECODER.raw_decode(text, opening.start())
        except ValueError:
            return roots, opening.start()
        roots.append(value)
    return roots, None


def _mend(region: str) -> list[dict[str, Any]]:
    """What json-repair makes of a broken object: one or more objects, to be checked against the text."""
    import json_repair

    if region.count("{") + region.count("[") > MAX_BRACKETS:
        raise ValueError("the reply is nested too deeply")
    if fence := CLOSING_FENCE.search(region):
        region = region[: fence.start() + 1]
    value = json_repair.loads(region)
    return [root for root in (value if isinstance(value, list) else [value]) if isinstance(root, dict)]


def _tables(root: dict[str, Any], dimensions: Sequence[str], depth: int = 0) -> list[dict[str, Any]]:
    """The objects in which a reply's scores are looked up; none where no dimension is named in any."""
    tables = [root, *(root[key] for key in TABLES if isinstance(root.get(key), dict))]
    if naming := [table for table in tables if any(name in table for name in dimensions)]:
        return naming
    inner = [value for value in root.values() if isinstance(value, dict)]
    return _tables(inner[0], dimensions, depth + 1) if len(inner) == 1 and depth < 3 else []


def _score(name: str, value: Any) -> float:
    if isinstance(value, dict) and "score" in value and not isinstance(value["score"], dict):
        return _score(name, value["score"])
    if isinstance(value, str) and (worded := WORDED.fullmatch(value)):
        value = float(worded["number"])
    if isinstance(value, _Twice):
        raise ValueError(f"{name} is stated more than once, differently")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number: {json.dumps(value, default=str)[:80]}")
    if not math.isfinite(value) or not 0 <= value <= 10:
        raise ValueError(f"{name} is {str(value)[:40]}, outside 0–10")
    return float(value) + 0.0  # -0.0 becomes 0.0


def _statements(region: str, name: str) -> Iterator[int]:
    """Where the text gives `name` a value: quoted anywhere, bare only where a key can stand. Escaped quotes are prose."""
    key = re.escape(name)
    for match in re.finditer(rf"""(?:(?<!\\)["'“‘]{key}["'”’]|(?:^|[{{,\n])\s*{key})\s*:\s*""", region):
        yield match.end()


def _stated_everywhere(region: str, name: str, *, required: bool = False) -> list[float]:
    """Every value that the text itself gives this dimension. ValueError: one of them is not a complete number."""
    values = []
    for start in _statements(region, name):
        if region.startswith("{", start):
            brace = re.search(r"[{}]|$", region[start + 1 :])
            inside = region[start + 1 :][: brace.end() if brace else None]
            tails = [inside[match.end() :] for match in INNER_SCORE.finditer(inside)]
        else:
            tails = [region[start : start + 200]]
        for tail in tails or [""]:
            match = STATED.match(tail)
            if not match:
                raise ValueError(f"{name} is not stated as one complete number")
            values.append(_score(name, float(match["worded"] or match["plain"])))
    if required and not values:
        raise ValueError(f"{name} is missing")
    return values


def _content_type(roots: list[dict[str, Any]], allowed: Sequence[str] | None, mended: str | None) -> str | None:
    """mended: the text that json-repair read, in which the name must stand between two quotes, not cut."""
    if not allowed:
        return None
    named = [root["content_type"] for root in roots if "content_type" in root]
    if not named:
        raise ValueError("content_type is missing")
    name = named[0]
    if any(other != name for other in named):
        raise ValueError("content_type is stated more than once, differently")
    if name is None or name == NO_TYPE:
        return None
    if not isinstance(name, str) or name not in allowed:
        raise ValueError(f"content_type is {json.dumps(name, default=str)[:80]}, not one of {', '.join(allowed)}")
    if mended is not None and not re.search(rf"""content_type["'”’]?\s*:\s*["'“‘]{re.escape(name)}["'”’]""", mended):
        raise ValueError("content_type is not stated as one complete name")
    return name
