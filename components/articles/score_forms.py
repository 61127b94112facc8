"""The scores of a row, in every form that people have them: one object, columns, and the two forms of the earlier system.

Those are `<filter>_analysis` with `dimensions`, and `labels` with `dimension_names`. They are read only where a row has no
`scores`, and go by name like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from distillery.components.articles.cells import score, short_text, shown
from distillery.filters.columns import AS_OURS, ScoreForm
from distillery.filters.strict_json import loads, once

ANALYSIS: Final = "_analysis"
LABELS: Final = frozenset({"labels", "dimension_names"})
# Numbers that may stand beside a score in its object; any other may be a scale, or the score that was meant.
BESIDE: Final = frozenset({"confidence", "certainty", "uncertainty", "weight", "probability"})


def flat(row: Mapping[str, Any], key: str, prefix: str) -> dict[str, Any] | None:
    """Return the scores that a row has in one object, or in columns of its own.

    Args:
        row: the row under our names.
        key: the object's name, "scores" or "reference".
        prefix: how the columns' names begin.

    Returns:
        Cells by dimension; None where the row has neither.

    Raises:
        ValueError: the object is none, or says something else than a column.
    """
    value = _opened(row.get(key))
    columns = {name.removeprefix(prefix): cell for name, cell in row.items() if name.startswith(prefix) and cell is not None}
    if value is None:
        return columns or None
    if isinstance(value, list) and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        value = once(
            (short_text(name) if isinstance(name, bytes) else str(name), cell) for name, cell in value
        )  # a Parquet map
    if not isinstance(value, dict):
        raise ValueError(f"its {key} is not an object but {shown(value)}")
    if other := next((name for name, cell in columns.items() if value.get(name, cell) != cell), None):
        raise ValueError(f"states {key} of '{other[:60]}' twice, differently")
    return value


class Stated(NamedTuple):
    """The scores of a row by our names, as they stand there.

    Attributes:
        cells: by dimension.
        kind: the content type that stands beside them; None for none.
        reasoned: whether a cell may be an object, with a score beside its reasons.
    """

    cells: dict[str, Any]
    kind: Any = None
    reasoned: bool = False


def scores_of(row: Mapping[str, Any], form: ScoreForm = AS_OURS) -> Stated:
    """Return the scores of a row by our names, whichever form they have there, as they stand there.

    Args:
        row: the row under our names.
        form: the file's names of dimensions.

    Returns:
        The scores.

    Raises:
        ValueError: the row has no scores, those of several filters, or one dimension twice.
    """
    own = flat(row, "scores", "score.")
    found = _earlier(row) if own is None else Stated(own)
    if not form.dimensions:
        return found
    named: dict[str, Any] = {}
    for name, cell in found.cells.items():
        ours = form.dimensions.get(name, name)
        if ours in named:
            raise ValueError(f"states scores of '{ours[:60]}' under two names")
        named[ours] = cell
    return found._replace(cells=named)


def plain_score(name: str, value: Any, form: ScoreForm = AS_OURS, *, reasoned: bool = False) -> float:
    """Return a score as a number of 0 to 10.

    Args:
        name: the dimension.
        value: the cell.
        form: the file's scales.
        reasoned: whether the cell may be an object that has the number under "score" beside its reasons.

    Returns:
        The number, 0 to 10.

    Raises:
        ValueError: the cell is no number, outside its scale, or an object with another number that may be score or scale.
    """
    scale = form.scale(name)
    if not reasoned or not isinstance(value, dict) or "score" not in value:
        return score(name, value, "score", scale)
    for key, cell in value.items():
        number = isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)
        if key != "score" and number and key.casefold() not in BESIDE and cell not in scale:
            raise ValueError(f"score of '{name}' has another number beside it: '{key[:60]}' is {shown(cell)}")
    return score(name, value["score"], "score", scale)


def _earlier(row: Mapping[str, Any]) -> Stated:
    analyses = {}
    for name, value in row.items():
        opened = _opened(value) if name.endswith(ANALYSIS) else None
        if isinstance(opened, dict) and isinstance(opened.get("dimensions"), dict):
            analyses[name] = opened
    if len(analyses) > 1:
        names = " and ".join(f"'{name[:60]}'" for name in list(analyses)[:2])
        raise ValueError(f"has scores of several filters, {names}: name those of this one, with data.columns or a mapping file")
    for analysis in analyses.values():
        return Stated(analysis["dimensions"], analysis.get("content_type"), reasoned=True)
    labels, names = _opened(row.get("labels")), _opened(row.get("dimension_names"))
    if not isinstance(labels, list):
        raise ValueError("has no scores")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its labels have no dimension_names")
    if len(labels) != len(names):
        raise ValueError(f"has {len(labels)} labels for {len(names)} dimension_names")
    return Stated(once(zip(names, labels, strict=True)))


def _opened(value: Any) -> Any:
    """Return what a text holds as JSON, as tables of one kind of cell keep lists and objects; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return loads(value)
        except (ValueError, RecursionError):
            return value
    return value
