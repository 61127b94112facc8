"""The sections that show articles: the best and the worst predictions, and the error by kind of article."""

from __future__ import annotations

from collections.abc import Callable

from distillery.components.artifacts.benchmark import Example
from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import number, span, words
from distillery.components.reporting.sections.student import View, top_of

ROWS = 20
"""A table of slices shows this many rows and counts the rest."""
SLICES = ("source", "language", "length")
EXAMPLES = 8


def articles(context: Context) -> View | None:
    """Return the articles that the student predicted worst and best.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no student was judged.
    """
    if context.benchmark is None:
        return None
    examples = context.benchmark.examples
    titled = (("Furthest from the oracle", "worst", examples.worst), ("Closest to the oracle", "best", examples.best))
    groups = [
        {"title": title, "kind": kind, "cards": [_card(context, each) for each in group[:EXAMPLES]]}
        for title, kind, group in titled
        if group
    ]
    return {"groups": groups} if groups else None


def _card(context: Context, example: Example) -> View:
    rows = []
    for name, label in context.by_dimension(example.label):
        prediction = example.prediction.get(name)
        title = f"{words(name)}: oracle {number(label, 1)}, student {number(prediction, 1)}"
        figure = figures.pair(label, prediction, title)
        rows.append({"name": words(name), "label": label, "prediction": prediction, "figure": figure})
    return {"example": example, "rows": rows}


def slices(context: Context) -> View | None:
    """Return the errors by source, language and length.

    Args:
        context: the run.

    Returns:
        What the template shows; None where no student was judged.
    """
    bench = context.benchmark
    if bench is None:
        return None
    groups = []
    for kind in (*SLICES, *(kind for kind in bench.slices if kind not in SLICES)):
        rows = bench.slices.get(kind) or []
        if not rows:
            continue
        shown = rows[:ROWS]
        top = top_of([*(row.mae for row in shown), bench.mae], [row.interval for row in shown])
        groups.append(
            {
                "kind": words(kind),
                "more": len(rows) - len(shown),
                "axis": figures.axis(top),
                "rows": [
                    {
                        "errors": row,
                        "figure": figures.dot(
                            row.mae,
                            top=top,
                            interval=row.interval,
                            bound=bench.mae,
                            title=f"{row.value or 'unknown'}: mean error {number(row.mae)}, "
                            f"95% interval {span(row.interval)}, {number(row.n, 0)} articles",
                        ),
                    }
                    for row in shown
                ],
            }
        )
    return {"groups": groups, "mae": bench.mae} if groups else None


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [
    ("articles", "Articles", articles),
    ("slices", "Where it does better and worse", slices),
]
