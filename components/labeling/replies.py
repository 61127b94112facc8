"""What a language model wrote, read as scores: repaired where nothing is invented, refused everywhere else.

Three readings, the first that holds wins: plain JSON (fences, prose and other objects around it are no matter); the same
with bad escapes doubled, which loses nothing; and json-repair (trailing commas, comments, single quotes, Python literals,
a cut tail), believed only where the text itself states each score beside its key, once or always alike. The trade-off: a
reply that a person could still make sense of ("about 7", two drafts that differ) is refused and asked again, which costs a
call; a score nobody stated would cost the student's trust.

A score may be a number, a string that holds one ("7", "7/10"), or an object {"score": 7, ...}. Numbers count only when they
are complete: one at the very end of a cut reply might have gone on. What a model thought before it answered is no answer
(thinking.py), and only what the schema calls scores is read as scores (score_table.py).

Replies are hostile: every pattern here takes time that grows with the text and no faster, and so does json-repair below the
bounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from distillery.components.articles.articles import Article, check_content_type, clean
from distillery.components.labeling.injections import obeyed, orders
from distillery.components.labeling.oracles.base import RawReply
from distillery.components.labeling.score_table import DECODER, NUMBER, Twice, check_words, score, stated, tables
from distillery.components.labeling.thinking import answer
from distillery.filters.filter import Filter
from distillery.filters.prompt import NO_TYPE

MAX_CHARACTERS: Final = 100_000
MAX_WRAPPED: Final = 3  # JSON strings around a reply
MAX_BRACKETS: Final = 2_000  # json-repair takes 0.1 s for as many unclosed ones, and grows with their square

# A brace that opens an object, not one of prose or LaTeX.
OPENING = re.compile(r"""\{(?=\s*(?:["'“}]|[A-Za-z_][\w-]*\s*:|//|/\*|\#))""")
GOOD_OR_BAD_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]|(?P<bad>))')
SPACES = re.compile(r"\s+")
# What ends a complete number: never the end of the text, and nothing after which the number might go on ("7,5", "7\n5").
# This and what follows is looked for in text without two white spaces in a row: searching must not take the square of them.
STATED = re.compile(
    rf"""(?:(?P<quote>["'“‘])\s?(?P<worded>{NUMBER})(?:\s?/\s?10)?\s?["'”’](?![^\s,}}\];\#/])"""
    rf"""|(?P<plain>{NUMBER})(?:\s?/\s?10)?"""
    rf"""(?=\s?(?:[,}}](?!\s?[0-9.])|;|//|/\*)|\s(?:\#|["'“‘][A-Za-z])|\n(?![0-9./])))"""
)
INNER_SCORE = re.compile(r"""["'“‘]?score["'”’]?\s?:\s?""")
INNER_END = re.compile(r"[{}]")
CLOSING_BRACE = re.compile("}")
CLOSING_FENCE = re.compile(r"^[^\S\n]*```[^\S\n]*$", re.MULTILINE)
COMMENT = re.compile(r"(?://|\#|/\*)[^\n]{0,200}")
TAIL = re.compile(r"[\s\]`]*")
# What may follow a brace inside the last object of a cut reply: the end, another brace, or a comma and the next key.
INSIDE = re.compile(r"""\s?(?:[}\]]|`{0,3}\s?\Z|,\s?(?:\Z|["'“‘]|[A-Za-z_]\w{0,99}\s?:|//|\#|/\*))""")


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
    try:
        return _read(flt, article, text, raw.finish)
    except ValueError as error:
        hidden = raw.key.hidden(text)
        if hidden == text:
            raise
        reason = raw.key.hidden(str(error))
    try:  # the reason may quote the reply, and cut the key where it is not found any more: tell it without the key
        _read(flt, article, hidden, raw.finish)
    except ValueError as error:
        reason = str(error)
    raise ValueError(reason)


def _read(flt: Filter, article: Article, text: str, finish: str) -> Reply:
    if finish == "blocked":
        raise ValueError("the oracle blocked its reply")
    try:
        reply = parse(text, flt.dimensions, [kind.name for kind in flt.spec.contentTypes], cut=finish != "stop")
    except ValueError as error:
        if finish == "length":
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


def parse(text: str, dimensions: Sequence[str], content_types: Sequence[str] | None = None, *, cut: bool = False) -> Reply:
    """Read scores and content type of a reply.

    Args:
        text: what the model wrote.
        dimensions: names of the dimensions.
        content_types: names to choose from, besides "none", which gives None; without any, the content type is not read.
        cut: whether the model did not end by itself, so that scores with text behind them are a draft.

    Returns:
        The reply, with a score for each dimension.

    Raises:
        ValueError: the reply is not usable, and no part of it is; the message says why.
    """
    if not text.strip():
        raise ValueError("the reply is empty")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the reply has {len(text):,} characters, more than {MAX_CHARACTERS:,}")
    try:
        return _parse(text, dimensions, content_types, cut)
    except RecursionError:
        raise ValueError("the reply is nested too deeply") from None


def _parse(text: str, dimensions: Sequence[str], content_types: Sequence[str] | None, cut: bool) -> Reply:
    repaired: list[str] = []
    plain = _unwrapped(text)
    thought = answer(plain, DECODER.decode)
    if thought != plain.lstrip():
        repaired.append("thinking before the answer")
    plain = _unwrapped(thought)
    found = _objects(plain)
    if found.broken is not None:
        escaped = GOOD_OR_BAD_ESCAPE.sub(lambda m: "\\\\" if m["bad"] is not None else m[0], plain)
        if escaped != plain:
            plain = escaped
            repaired.append("bad escapes")
            found = _objects(plain)
    if cut and found.roots and not TAIL.fullmatch(plain, found.end):
        raise ValueError("text follows its scores, which are a draft then")
    check_words(found.prose)
    broken = None if found.broken is None else SPACES.sub(lambda run: "\n" if "\n" in run[0] else " ", plain[found.broken :])
    roots = [(root, some) for root in found.roots if (some := tables(root, dimensions))]
    mended = None
    if not roots and found.broken is not None and broken is not None:
        roots = [(root, some) for root in _mend(plain[found.broken :]) if (some := tables(root, dimensions))]
        repaired.append("malformed JSON")
        mended = broken
        check_words("\n".join(COMMENT.findall(broken)))
        if cut:
            _check_end(broken, dimensions)
    literal = {name: _stated_everywhere(broken, name, required=mended is not None) if broken else [] for name in dimensions}
    if not roots:
        raise ValueError("the reply holds no JSON object with any of the dimensions")
    if not plain.strip().startswith("{") or not plain.strip().endswith("}"):
        repaired.append("text around the JSON")
    scores = {}
    for name in dimensions:
        values = [table[name] for _, some in roots for table in some if name in table]
        numbers = {score(name, value) for value in values} | set(literal[name])
        if not values:
            raise ValueError(f"{name} is missing")
        if len(numbers) > 1:
            raise ValueError(f"{name} is stated more than once, differently")
        scores[name] = numbers.pop()
    return Reply(scores, _content_type([root for root, _ in roots], content_types, mended), repaired)


def _unwrapped(text: str) -> str:
    """Return the reply that a JSON string holds, with or without the quotes around it; any other text as it is."""
    for _ in range(MAX_WRAPPED):
        inner = text.strip()
        if not (inner[:1] == inner[-1:] == '"' and "{" in inner):
            if "{" not in inner or '\\"' not in inner or OPENING.search(inner):
                break
            inner = f'"{inner}"'
        try:
            value = DECODER.decode(inner)
        except ValueError:
            break
        if not isinstance(value, str):
            break
        text = value
    return text


class _Objects(NamedTuple):
    """The outermost JSON objects of a text, up to the first that does not parse.

    Attributes:
        roots: the objects.
        end: where the last of them ends.
        broken: where the one begins that does not parse; None where all do.
        prose: the text around them.
    """

    roots: list[dict[str, Any]]
    end: int
    broken: int | None
    prose: str


def _objects(text: str) -> _Objects:
    roots: list[dict[str, Any]] = []
    prose: list[str] = []
    end = 0
    while opening := OPENING.search(text, end):
        prose.append(text[end : opening.start()])
        try:
            value, end = DECODER.raw_decode(text, opening.start())
        except ValueError:
            return _Objects(roots, end, opening.start(), "\n".join(prose))
        roots.append(value)
    return _Objects(roots, end, None, "\n".join([*prose, text[end:]]))


def _mend(region: str) -> list[dict[str, Any]]:
    """Return what json-repair makes of a broken object: one or more objects, to be checked against the text."""
    import json_repair

    if region.count("{") + region.count("[") > MAX_BRACKETS:
        raise ValueError("the reply is nested too deeply")
    if fence := CLOSING_FENCE.search(region):
        region = region[: fence.start()]
    value = json_repair.loads(region)
    return [root for root in (value if isinstance(value, list) else [value]) if isinstance(root, dict)]


def _check_end(region: str, dimensions: Sequence[str]) -> None:
    """Raise where text follows the last object of a cut reply that states scores; the object itself may be cut."""
    last = max((end for name in dimensions for end in _statements(region, name)), default=0)
    for brace in CLOSING_BRACE.finditer(region, last):
        if not INSIDE.match(region, brace.end()):
            raise ValueError("text follows its scores, which are a draft then")


def _statements(region: str, name: str) -> Iterator[int]:
    """Yield where the text gives `name` a value: quoted anywhere, bare only where a key can stand. Escaped quotes are prose."""
    key = re.escape(name)
    for match in re.finditer(rf"""(?:(?<!\\)["'“‘]{key}["'”’]|(?:^|[{{,\n])\s?{key})\s?:\s?""", region):
        yield match.end()


def _stated_everywhere(region: str, name: str, *, required: bool) -> list[float]:
    """Return every value that the text itself gives this dimension. ValueError: one of them is not a complete number."""
    values = []
    for start in _statements(region, name):
        starts, end = [start], start + 200
        if region.startswith("{", start):
            brace = INNER_END.search(region, start + 1)
            end = brace.end() if brace else len(region)
            starts = [inner.end() for inner in INNER_SCORE.finditer(region, start + 1, end)]
        matches = [STATED.match(region, position, end) for position in starts]
        if not matches or None in matches:
            raise ValueError(f"{name} is not stated as one complete number")
        values += [score(name, float(match["worded"] or match["plain"])) for match in matches if match]
    if required and not values:
        raise ValueError(f"{name} is missing")
    return values


def _content_type(roots: list[dict[str, Any]], allowed: Sequence[str] | None, mended: str | None) -> str | None:
    """mended: the text that json-repair read, in which the name must stand between two quotes, not cut."""
    if not allowed:
        return None
    named = [name for root in roots for name in stated(root, "content_type")]
    if not named:
        raise ValueError("content_type is missing")
    name = named[0]
    if isinstance(name, Twice) or any(other != name for other in named):
        raise ValueError("content_type is stated more than once, differently")
    if name is None or name == NO_TYPE:
        return None
    if not isinstance(name, str):
        raise ValueError(f"content_type is {json.dumps(name, default=str)[:80]}, not one of {', '.join(allowed)}")
    check_content_type(name, allowed)
    if mended is not None and not re.search(rf"""content_type["'”’]?\s*:\s*["'“‘]{re.escape(name)}["'”’]""", mended):
        raise ValueError("content_type is not stated as one complete name")
    return name
