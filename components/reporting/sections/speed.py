"""How fast the student is, and how much memory it takes, on the machines where that was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distillery.components.artifacts.measurement import Measurement
from distillery.components.reporting.context import Context
from distillery.components.reporting.formatting import NONE, duration, number

View = dict[str, Any]
MILLION = 1_000_000


def speed(context: Context) -> View | None:
    """Return the measurements, the latest first.

    Args:
        context: the run.

    Returns:
        What the template shows; None where nobody measured.
    """
    rows = [{"measured": each, "million": million(each), "memory": memory_of(each)} for each in context.measurements]
    return {"rows": rows, "words": context.measurements[0].words} if rows else None


def million(measured: Measurement) -> str:
    """Return how long a million such articles take.

    Args:
        measured: the measurement.

    Returns:
        A time for people.
    """
    return duration(MILLION / measured.articles_per_second)


def memory_of(measured: Measurement) -> str:
    """Return the memory that was measured.

    Args:
        measured: the measurement.

    Returns:
        A text; an en dash where it could not be told.
    """
    sizes = [
        (measured.memory_mb, "one article at a time"),
        (measured.peak_memory_mb, "at most"),
        (measured.gpu_memory_mb, "of the GPU"),
    ]
    return ", ".join(f"{number(size, 0)} MB {what}" for size, what in sizes if size is not None) or NONE


SECTIONS: list[tuple[str, str, Callable[[Context], View | None]]] = [("speed", "How fast it is", speed)]
