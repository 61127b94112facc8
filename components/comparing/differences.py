"""In what sides differ before anything is measured: settings, data, and what came of the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from distillery.components.comparing.document import Differs
from distillery.components.comparing.sides import Side
from distillery.components.reporting.formatting import number
from distillery.filters.diff import diff

SHOWN: Final = 60  # settings; filters that judge other things differ in hundreds
READ_LATER: Final = "spec.prefilter"  # by scoring alone; what no step reads, such as a description or a place, is no difference


def settings(sides: Sequence[Side]) -> list[Differs]:
    """Return the settings in which filters and students differ, as they were resolved in each run.

    Args:
        sides: two or more.

    Returns:
        The settings in the order of the filter, then what the students are made of; at most SHOWN.
    """
    first, values = sides[0].filter, dict[str, list[str]]()
    for at, side in enumerate(sides[1:], start=1):
        for change in diff(first, side.filter):
            if change.redoes or change.path.startswith(READ_LATER):
                row = values.setdefault(change.path, [_told(change.old)] * len(sides))
                row[at] = _told(change.new)
    rows = [Differs(name=name, values=row) for name, row in values.items()]
    rows += _facts(
        sides,
        {
            "base model (digest)": lambda side: side.about.student.base.digest[:12],
            "pooling": lambda side: side.about.student.pooling,
            "trainable parameters": lambda side: f"{side.about.student.trainable_parameters:,}",
        },
    )
    more = len(rows) - SHOWN
    if more > 0:
        rows = [*rows[:SHOWN], Differs(name=f"… and {more} more", values=[""] * len(sides))]
    return rows


def data(sides: Sequence[Side]) -> list[Differs]:
    """Return in what the labels, the splits and the trainings of sides differ.

    Args:
        sides: two or more.

    Returns:
        A row for each fact that is not the same for all.
    """
    return _facts(
        sides,
        {
            "label set": lambda side: side.split_meta.label_set[:12] if side.split_meta else "gone",
            "labels": lambda side: f"{side.labels.rows:,}" if side.labels else "",
            "oracle": lambda side: str((side.labels.oracle or {}).get("model") or "brought") if side.labels else "",
            "split": lambda side: side.split[:12],
            "train articles": lambda side: f"{side.split_meta.rows.train:,}" if side.split_meta else "",
            "validation articles": lambda side: f"{side.split_meta.rows.validation:,}" if side.split_meta else "",
            "test part": lambda side: side.test[:12],
            "train MAE": lambda side: number(side.about.student.train_mae, 3),
            "validation MAE": lambda side: number(side.about.student.validation_mae, 3),
            "gap from training to validation": _gap,
            "epoch kept": lambda side: f"{side.history.best_epoch} of {len(side.history.epochs)}" if side.history else "",
            "optimizer steps": lambda side: f"{side.about.student.steps:,}",
            "tokens trained on": lambda side: f"{side.about.student.tokens:,}",
            "score curves": lambda side: "kept" if side.about.curves.kept else "not kept",
            "alarms": lambda side: "; ".join(side.about.student.alarms) or "none",
        },
    )


def _gap(side: Side) -> str:
    train, validation = side.about.student.train_mae, side.about.student.validation_mae
    return number((validation - train) / train, percent=True) if train else ""


def _facts(sides: Sequence[Side], facts: dict[str, Callable[[Side], str]]) -> list[Differs]:
    rows = [Differs(name=name, values=[of(side) for side in sides]) for name, of in facts.items()]
    return [row for row in rows if len(set(row.values)) > 1]


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
