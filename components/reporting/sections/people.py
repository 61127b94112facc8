"""What people said of the test articles, beside the oracle and the student."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distillery.components.reporting import svg as figures
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import number, span, words

View = dict[str, Any]


def people(context: Context) -> View | None:
    """Return how far reviewers, oracle and student lie from one another, with the oracle's noise as the floor.

    Args:
        context: the run.

    Returns:
        What the template shows; None where nobody reviewed.
    """
    review = context.review
    if review is None:
        return None
    noise = context.benchmark.noise if context.benchmark else None
    top = max([0.5, *(pair.interval[1] for pair in review.pairs)])
    floor = noise.mae if noise else None
    return {
        "review": review,
        "floor": floor,
        "axis": figures.axis(top),
        "rows": [
            {
                "pair": pair,
                "figure": figures.dot(
                    pair.mae,
                    top=top,
                    interval=pair.interval,
                    other=floor if {pair.left, pair.right} & {"oracle"} else None,
                    title=f"{pair.left} and {pair.right}: {number(pair.mae)} points apart, {span(pair.interval)}",
                ),
            }
            for pair in review.pairs
        ],
        "alphas": [("overall", review.overall), *((words(name), one) for name, one in context.by_dimension(review.dimensions))],
    }


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("people", "What people say", people)]
