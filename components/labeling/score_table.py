"""Where a reply's JSON states scores, and on which scale: what the schema calls scores counts, and nothing else.

A score may stand at the top level, under "scores" or "dimensions", or in one of the wrappers that models put around an answer;
a map of confidences, weights or limits beside them is never read. A score on a scale that the reply states otherwise than as 0
to 10 is a failure: 3 of 5 is no 3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

TABLES: Final = ("scores", "dimensions")
WRAPPERS: Final = frozenset(
    {
        *("answer", "final", "final_answer", "output", "reply", "response", "result", "results"),
        *("assessment", "evaluation", "judgement", "judgment", "rating", "ratings", "report"),
        *("arguments", "args", "content", "data", "function", "input", "json", "object", "parameters", "tool_input"),
    }
)
DEPTH: Final = 3  # wrappers inside one another
SCALES: Final = frozenset({"max", "maximum", "min", "minimum", "scale", "range", "denominator", "unit", "units"})
WHOLE_SCALES: Final = frozenset({"of", "out_of", "outof", "percent", "percentage"})
BESIDE: Final = frozenset({"confidence", "certainty", "uncertainty", "weight", "probability", "id", "index"})
NUMBER: Final = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
WORDED: Final = re.compile(rf"\s*(?P<number>{NUMBER})(?:\s*/\s*10)?\s*")
NUMERIC: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
FRACTION: Final = re.compile(r"(?<![\w.])([0-9]{1,9}(?:\.[0-9]{1,9})?)\s?(?:/|out of|of)\s?([0-9]{1,9})(?![\w%])")
# "on a scale of 1 to 5", "scores (0-100)", "out of five", "all are /100", "a 7-point scale", "in %"; it takes linear time.
SPOKEN: Final = re.compile(
    r"(?i:\b(?:scale[ds]?|scores?|scored|scoring|ratings?|rated|range|normali[sz]ed)\b[^.\n{}]{0,30}"
    r"(?:(?<![\w.])[01](?:\.0)?\s?(?:-|–|—|to)|\bbetween [01](?:\.0)? and)\s?([0-9]{1,9})(?!\.?[\w%])"
    r"|\b[0-9]\s?(?:-|–|—|to)\s?([0-9]{1,9}) scale\b"
    r"|\bout of (?:a possible )?([0-9]{1,9}|three|four|five|six|seven|twenty|(?:a |one )?hundred)\b"
    r"|\b([0-9]{1,3}|three|four|five|six|seven)[ -](?:point|star) (?:scale|rating|likert)"
    r"|\b(?:scores?|all|each)\b[^.\n{}0-9]{0,30} /\s?([0-9]{1,9})\b|\b(?:in|as) (percent\b|%)|\b(percentages)\b)"
)
TENS: Final = ("10", "11")  # 0 to 10 has eleven points


class Twice:
    """Stands for a key that an object states more than once, differently."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object in which a key stated twice with different values is marked instead of the last one winning.

    Args:
        pairs: keys and values as they stand in the text.

    Returns:
        The object.
    """
    table: dict[str, Any] = {}
    for key, value in pairs:
        same = key not in table or (table[key] == value and isinstance(table[key], bool) == isinstance(value, bool))
        table[key] = value if same else Twice()
    return table


DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=once)


def tables(root: dict[str, Any], dimensions: Sequence[str], depth: int = 0) -> list[dict[str, Any]]:
    """Return the objects in which a reply's scores are looked up.

    Args:
        root: an object of the reply.
        dimensions: names of the dimensions.
        depth: how many wrappers it stands in.

    Returns:
        The objects that name a dimension; none where no dimension is named in any.

    Raises:
        ValueError: what is called scores is no object, or another scale than 0 to 10 is stated.
    """
    here = [root]
    for key in TABLES:
        value = root.get(key)
        if value is None or key in dimensions:
            continue
        table = opened(value)
        if not isinstance(table, dict):
            twice = f"{key} is stated more than once, differently"
            raise ValueError(twice if isinstance(value, Twice) else f"{key} holds no JSON object with the dimensions")
        here.append(table)
    naming = [table for table in here if any(name in table for name in dimensions)]
    if naming:
        for table in here:
            _check_scale(table, dimensions)
        return naming
    if depth >= DEPTH:
        return []
    inner = [opened(value) for key, value in root.items() if key in TABLES or key.lower() in WRAPPERS]
    naming = [table for value in inner if isinstance(value, dict) for table in tables(value, dimensions, depth + 1)]
    if naming:
        _check_scale(root, dimensions)
    return naming


def stated(root: dict[str, Any], key: str, depth: int = 0) -> Iterator[Any]:
    """Yield what a reply states under a key, wherever its scores may stand.

    Args:
        root: an object of the reply.
        key: the key.
        depth: how many wrappers it stands in.

    Yields:
        Values.
    """
    if key in root:
        yield root[key]
    for name, value in root.items() if depth <= DEPTH else ():
        if (name in TABLES or name.lower() in WRAPPERS) and isinstance(inner := opened(value), dict):
            yield from stated(inner, key, depth + 1)


def opened(value: Any) -> Any:
    """Return the object that a text holds as JSON, or the value itself.

    Args:
        value: a value of the reply.

    Returns:
        The object; any other value as it is.
    """
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return DECODER.decode(value)
        except ValueError:
            return value
    return value


def score(name: str, value: Any) -> float:
    """Return the score that a value states.

    Args:
        name: the dimension.
        value: a number, a text that holds one, or an object with one under "score".

    Returns:
        The score, 0 to 10.

    Raises:
        ValueError: it is no number, outside 0 to 10, stated twice, or on another scale.
    """
    if isinstance(value, dict) and "score" in value and not isinstance(value["score"], dict):
        number = score(name, value["score"])
        _check_beside(name, number, value)
        return number
    if isinstance(value, str) and (worded := WORDED.fullmatch(value)):
        value = float(worded["number"])
    if isinstance(value, Twice):
        raise ValueError(f"{name} is stated more than once, differently")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number: {json.dumps(value, default=str)[:80]}")
    if not 0 <= value <= 10:  # written so that NaN fails
        raise ValueError(f"{name} is {str(value)[:40]}, outside 0–10")
    return float(value) + 0.0  # -0.0 becomes 0.0


def check_words(text: str) -> None:
    """Raise where the words around the scores state another scale.

    Args:
        text: prose or comments of a reply.

    Raises:
        ValueError: "on a scale of 1 to 5", "out of 5", "in percent".
    """
    for spoken in SPOKEN.finditer(text):
        if not any(number in TENS for number in spoken.groups()):
            raise ValueError(f"the reply states another scale than 0 to 10: {' '.join(spoken[0].split())[:80]}")


def _check_scale(table: dict[str, Any], dimensions: Sequence[str]) -> None:
    for key, value in table.items():
        if key not in dimensions and _is_scale(key) and not _is_ours(key, value):
            raise ValueError(f"the reply states another scale than 0 to 10: {key[:40]}")


def _check_beside(name: str, number: float, table: dict[str, Any]) -> None:
    """Raise where the object around a score states another scale, or a second number that may be the score."""
    for key, value in table.items():
        if key == "score":
            continue
        if _is_scale(key):
            if not _is_ours(key, value):
                raise ValueError(f"{name} is stated on another scale than 0 to 10: {key[:40]}")
        elif isinstance(value, str) and not WORDED.fullmatch(value):
            for stated, most in FRACTION.findall(value):
                if float(stated) == number and most != "10":
                    raise ValueError(f"{name} is stated on another scale than 0 to 10: {stated} of {most}")
        elif BESIDE.isdisjoint(_words(key)) and (other := _number(value)) is not None and other != number:
            raise ValueError(f"{name} has another number beside its score: {key[:40]}")


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        worded = WORDED.fullmatch(value)
        return float(worded["number"]) if worded else None
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _words(key: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]", " ", key[:200]).lower().split()


def _is_scale(key: str) -> bool:
    words = _words(key)
    return bool(words) and (words[0] in SCALES or words[-1] in SCALES or "_".join(words) in WHOLE_SCALES)


def _is_ours(key: str, value: Any) -> bool:
    """True if a stated scale is 0 to 10, or states nothing."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        numbers = [str(item) for item in inner]
        return [number.removesuffix(".0") for number in numbers] in ([], ["0", "10"], ["10"])
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, str) and ("%" in value or "percent" in value.lower()):
        return False
    numbers = [number.removesuffix(".0") for number in NUMERIC.findall(str(value)[:200])]
    least = bool({"min", "minimum"} & set(_words(key)))
    return numbers in ([], ["0"] if least else ["10"], ["0", "10"])
