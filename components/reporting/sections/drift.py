"""Whether what the student scored since is spread as what it was judged on, look by look, and which articles moved most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from distillery.components.artifacts.drift import Look
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import words

View = dict[str, Any]
SHOWN: Final = 10  # looks


def drift(context: Context) -> View | None:
    """Return the looks at what the adapter scored, the latest first, and the articles that moved most at the last one.

    Args:
        context: the run.

    Returns:
        What the template shows; None where nobody looked.
    """
    rows = [{"look": look, "found": found(look)} for look in context.looks[:SHOWN]]
    return {"rows": rows, "moved": context.looks[0].moved, "more": max(0, len(context.looks) - SHOWN)} if rows else None


def found(look: Look) -> str:
    """Return what a look found, for people.

    Args:
        look: the look.

    Returns:
        The features that drifted, or that none did.
    """
    return f"drifted: {', '.join(map(words, look.drifted))}" if look.drifted else "nothing drifted"


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("drift", "Have the articles changed since?", drift)]
