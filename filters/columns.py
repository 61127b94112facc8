"""People's files in our words: `data.columns`, `dimensions`, `scale`, `scales` of a filter; `--map`, `--mapping` for one run.

A column that is named here is read as ours; a column of our own name beside it is then left alone. `text` is the content.
`dimensions` names the scores within an object, and a scale [1, 5] says which of their numbers is our 0 and which our 10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from distillery.filters.errors import InputError
from distillery.filters.expressions import nearest

TARGETS: Final = (
    *("id", "title", "content", "source", "language", "url", "published", "content_type"),
    *("scores", "reference"),
)
_ALIASES: Final = {"text": "content"}
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ScoreForm(NamedTuple):
    """What the scores in people's files are here.

    Attributes:
        dimensions: our dimensions by the file's names.
        scales: what becomes 0 and what becomes 10, by dimension; 0 to 10 for one that is not named.
    """

    dimensions: Mapping[str, str] = {}
    scales: Mapping[str, tuple[float, float]] = {}

    def scale(self, dimension: str) -> tuple[float, float]:
        """Return the scale of a dimension.

        Args:
            dimension: our name of it.

        Returns:
            What becomes 0, and what becomes 10.
        """
        return self.scales.get(dimension, (0.0, 10.0))

    def to_json(self) -> dict[str, Any]:
        """Return what digests and label sets say of it.

        Returns:
            JSON values; empty where the file has our names and our scale.
        """
        scales = {name: list(scale) for name, scale in sorted(self.scales.items())}
        return {key: value for key, value in (("dimensions", dict(self.dimensions)), ("scales", scales)) if value}


AS_OURS: Final = ScoreForm()


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


def score_form(
    names: Mapping[str, str], scale: Sequence[float] | None, scales: Mapping[str, Sequence[float]], dimensions: Sequence[str]
) -> ScoreForm:
    """Return what the scores in people's files are here.

    Args:
        names: The filter's `data.dimensions`, checked.
        scale: Its `data.scale`.
        scales: Its `data.scales`.
        dimensions: Names of the filter's dimensions.

    Returns:
        Names and scales; a scale of 0 to 10 is left out.
    """
    stated = {name: scales.get(name, scale) for name in dimensions}
    pairs = {name: (float(pair[0]), float(pair[1])) for name, pair in stated.items() if pair is not None}
    return ScoreForm(dict(names), {name: pair for name, pair in pairs.items() if pair != (0, 10)})


def score_faults(
    names: Mapping[str, str], scale: Sequence[float] | None, scales: Mapping[str, Sequence[float]], dimensions: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Find what is wrong with `data.dimensions`, `data.scale` and `data.scales`.

    Args:
        names: Our dimensions by the file's names, as written.
        scale: Of all scores; None for 0 to 10.
        scales: Of some dimensions.
        dimensions: Names of the filter's dimensions.

    Yields:
        The keys below `data`, what is wrong, and how to fix it.
    """
    taken: dict[str, str] = {}
    for name, ours in names.items():
        if ours not in dimensions:
            yield ("dimensions", name), f'"{ours}" is no dimension of the filter', nearest(ours, dimensions)
        elif ours in taken:
            yield ("dimensions", name), f'"{name}" and "{taken[ours]}" are both {ours}', "name one for each dimension"
        taken.setdefault(ours, name)
    for name in scales:
        if name not in dimensions:
            yield ("scales", name), f'"{name}" is no dimension of the filter', nearest(name, dimensions)
    stated: list[tuple[tuple[str, ...], Sequence[float] | None]] = [(("scale",), scale)]
    stated += [(("scales", name), pair) for name, pair in scales.items()]
    for path, pair in stated:
        if pair is not None and pair[0] == pair[1]:
            yield path, f"from {pair[0]:g} to {pair[1]:g} is no scale", "write what becomes 0, then what becomes 10: [1, 5]"


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
        overrides[column] = setting("columns", column, ours.strip())
    return tuple(overrides.values())


def setting(section: str, name: str, value: object) -> str:
    """Return the override that sets one entry below `data`.

    Args:
        section: Such as "columns".
        name: Of the entry; any text.
        value: A JSON value.

    Returns:
        Such as 'data.columns.headline="title"'.
    """
    step = f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
    return f"data.{section}{step}={json.dumps(value, ensure_ascii=False)}"
