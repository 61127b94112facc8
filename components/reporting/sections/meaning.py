"""What the figures mean, for somebody who has to decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distillery.components.reporting.context import Context
from distillery.components.reporting.judgement import judgement

View = dict[str, Any]


def meaning(context: Context) -> View | None:
    """Return convergence, strengths, weaknesses and suitability.

    Args:
        context: the run.

    Returns:
        What the template shows; None where nothing was trained.
    """
    found = judgement(context)
    return {"found": found, "chips": {"yes": "good", "with care": "warn", "no": "bad"}} if found else None


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("meaning", "What it is good for", meaning)]
