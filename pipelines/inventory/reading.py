"""Reading many documents of a store at once, of which any may be torn, gone or a newer program's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from distillery.components.remote.retry import is_outage
from distillery.components.store import NotFound
from distillery.filters.errors import InputError

AT_ONCE = 16  # requests: a bucket answers each in some 30 ms
T = TypeVar("T")
R = TypeVar("R")

Row: TypeAlias = dict[str, Any]
"""One thing of a store as JSON values. "name" is what `describe` takes, "error" says what of it can't be read."""


def each(things: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Return `work` of each thing, several at once.

    Args:
        things: what to work on.
        work: reads the store, which threads may share.

    Returns:
        The results, in the order of the things.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, things))


class Reader:
    """Read documents, and remember the first that can't be read.

    Attributes:
        error: {what, where, hint} of it; None where all could be read.
    """

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.error: dict[str, str] | None = None

    def read(self, document: Callable[[], T]) -> T | None:
        """Return a document, or None where it can't be read: `error` says why.

        Args:
            document: reads it.

        Returns:
            The document, or None.

        Raises:
            StoreError: the store is away.
        """
        try:
            return document()
        except NotFound as error:
            self._remember({"what": "is gone", "where": str(error.args[0]), "hint": ""})
        except InputError as error:
            if error.__cause__ is not None and is_outage(error.__cause__):
                raise
            self._remember({"what": error.what, "where": error.where, "hint": error.hint})
        return None

    def _remember(self, error: dict[str, str]) -> None:
        self.error = self.error or error


def moment(seconds: float | None) -> str | None:
    """Return a time as JSON has it.

    Args:
        seconds: since 1970; None where it is not known.

    Returns:
        UTC, as 2025-01-31T23:59:59Z; None where it is not known.
    """
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def dollars(facts: Mapping[str, Any] | None) -> float | None:
    """Return what the facts of a label step say that its labels cost.

    Args:
        facts: of its record; None where there is none.

    Returns:
        US dollars that all labels of the rubric and oracle have cost by then, those in doubt included; None where nothing was
        asked of an oracle.
    """
    total = amount((facts or {}).get("usd_total"))
    return None if total is None else total + (amount((facts or {}).get("usd_unknown")) or 0.0)


def amount(value: object) -> float | None:
    """Return a figure of a record, whose facts and outputs may hold anything.

    Args:
        value: of any kind.

    Returns:
        The number; None for what is none.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None  # type: ignore[arg-type]


def text(value: object) -> str | None:
    """Return a text of a record, whose facts and outputs may hold anything.

    Args:
        value: of any kind.

    Returns:
        The text; None for what is none, and for an empty one.
    """
    return value if value and isinstance(value, str) else None
