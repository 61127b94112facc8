"""Columns of people's files by our names: `data.columns: {headline: title}` in a filter, `--map headline=title` for one run.

A column that is named here is read as ours; a column of our own name beside it is then left alone. `text` is the content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from distillery.filters.errors import InputError
from distillery.filters.expressions import nearest

TARGETS: Final = (
    *("id", "title", "content", "source", "language", "url", "published", "content_type"),
    *("scores", "reference"),
)
_ALIASES: Final = {"text": "content"}
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def target_of(name: str, dimensions: Sequence[str]) -> str | None:
    """Return the column of ours that a name stands for.

    Args:
        name: Such as "title", "text", "score.substance", or the bare name of a dimension, whose scores are meant.
        dimensions: Names of the filter's dimensions.

    Returns:
        One of `TARGETS`, `score.<dimension>` or `reference.<dimension>`; None where it is none of them.
    """
    if name in TARGETS or name in _ALIASES:
        return _ALIASES.get(name, name)
    kind, _, dimension = name.rpartition(".")
    if dimension in dimensions and kind in ("", "score", "reference"):
        return f"{kind or 'score'}.{dimension}"
    return None


def our_names(columns: Mapping[str, str], dimensions: Sequence[str]) -> dict[str, str]:
    """Return what the columns of a file are here.

    Args:
        columns: The filter's `data.columns`, checked.
        dimensions: Names of the filter's dimensions.

    Returns:
        Our names by the file's.
    """
    return {name: target_of(text, dimensions) or text for name, text in columns.items()}


def column_faults(columns: Mapping[str, str], dimensions: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Find what is wrong with `data.columns`.

    Args:
        columns: Our names by the file's, as written.
        dimensions: Names of the filter's dimensions.

    Yields:
        The column at fault, what is wrong, and how to fix it.
    """
    known = [*TARGETS, *(f"score.{name}" for name in dimensions), *(f"reference.{name}" for name in dimensions)]
    taken: dict[str, str] = {}
    for name, text in columns.items():
        ours = target_of(text, dimensions)
        if ours is None:
            yield name, f'"{text}" is no column that is read', nearest(text, known)
            continue
        whole = {"score": "scores", "reference": "reference"}.get(ours.partition(".")[0], "") if "." in ours else ""
        if before := taken.get(ours) or taken.get(whole):
            yield name, f'"{name}" and "{before}" are both {ours}', "name one column for each"
        taken[ours] = name
        if whole:
            taken.setdefault(f"{whole}.", name)
        elif f"{ours}." in taken:
            yield name, f'"{name}" and "{taken[f"{ours}."]}" are both {ours}', "name one column for each"


def map_overrides(pairs: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of the filter that `--map` stands for.

    Args:
        pairs: Each "column=name": a column of the file, and our name for it.

    Returns:
        Overrides, each "data.columns.column=name".

    Raises:
        InputError: One is no such pair, or names a column a second time.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        column, sign, ours = pair.rpartition("=")
        if not sign or not column.strip() or not ours.strip():
            what = f"{pair[:80]!r} does not name a column of the file and ours"
            raise InputError(what, hint="for example {map} headline=title", parameter="map")
        if column in overrides:
            what = f"{column[:80]!r} is given twice"
            raise InputError(what, hint="name each column of the file once", parameter="map")
        step = f".{column}" if _PLAIN.fullmatch(column) else f"[{json.dumps(column, ensure_ascii=False)}]"
        overrides[column] = f"data.columns{step}={json.dumps(ours.strip(), ensure_ascii=False)}"
    return tuple(overrides.values())
