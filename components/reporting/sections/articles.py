"""The sections that show articles: the best and the worst predictions, and the error by kind of article."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import number, span, words
from distillery.components.reporting.sections.student import View, bench, top_of

ROWS = 20
"""A table of slices shows this many rows and counts the rest."""


def articles(context: Context) -> View | None:
    examples = bench(context).get("examples") or {}
    groups = []
    for kind, title in (("worst", "Furthest from the oracle"), ("best", "Closest to the oracle")):
        cards = [_card(example) for example in (examples.get(kind) or [])[:8]]
        if cards:
            groups.append({"title": title, "kind": kind, "cards": cards})
    return {"groups": groups} if groups else None


def _card(example: Mapping[str, Any]) -> View:
    labels, predictions = example.get("label") or {}, example.get("prediction") or {}
    rows = [
        {
            "name": words(name),
            "label": label,
            "prediction": predictions.get(name),
            "figure": figures.pair(
                label,
                predictions.get(name),
                f"{words(name)}: oracle {number(label, 1)}, student {number(predictions.get(name), 1)}",
            ),
        }
        for name, label in labels.items()
    ]
    return {**example, "rows": rows}


def slices(context: Context) -> View | None:
    found = bench(context).get("slices") or {}
    groups = []
    for kind, rows in found.items():
        if not rows:
            continue
        shown = rows[:ROWS]
        top = top_of([(row.get("mae"), row.get("interval")) for row in shown], bench(context).get("mae"))
        groups.append(
            {
                "kind": words(kind),
                "more": len(rows) - len(shown),
                "axis": figures.axis(top),
                "rows": [
                    {
                        **row,
                        "figure": figures.dot(
                            row.get("mae"),
                            top=top,
                            interval=row.get("interval"),
                            bound=bench(context).get("mae"),
                            title=f"{row.get('value') or 'unknown'}: mean error {number(row.get('mae'))}, "
                            f"95% interval {span(row.get('interval'))}, {number(row.get('n'), 0)} articles",
                        ),
                    }
                    for row in shown
                ],
            }
        )
    return {"groups": groups, "mae": bench(context).get("mae")} if groups else None


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("articles", "Articles", articles),
    ("slices", "Where it does better and worse", slices),
]
