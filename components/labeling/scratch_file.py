"""A private SQLite file that spills to disk and is deleted with its last use: 4 MB of memory, whatever it holds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distillery.components.articles.scratch import HINT
from distillery.filters.errors import InputError


class ScratchFile:
    """Holds tables for the time of one run; safe between threads. Nothing in it outlives the process."""

    def __init__(self, *statements: str, page_size: int = 4096) -> None:
        """Open the file and make its tables.

        Args:
            statements: SQL that creates tables and indexes.
            page_size: bytes of a page; larger ones suit long rows.
        """
        self._lock = threading.Lock()
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        pragmas = (f"page_size = {page_size}", "journal_mode = OFF", "synchronous = OFF", "cache_size = -4000")
        with _told():
            for statement in (*(f"PRAGMA {pragma}" for pragma in pragmas), *statements):
                self._connection.execute(statement)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Args:
            sql: a SELECT.
            parameters: what its question marks stand for.

        Returns:
            All rows, so a query should have a limit.
        """
        with self._lock, _told():
            return self._connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, *parameters: object) -> int:
        """Insert, replace or delete rows.

        Args:
            sql: the statement.
            parameters: what its question marks stand for.

        Returns:
            How many rows it changed.
        """
        with self._lock, _told():
            return self._connection.execute(sql, parameters).rowcount

    def close(self) -> None:
        """Close the file, which deletes it."""
        self._connection.close()


@contextmanager
def _told() -> Iterator[None]:
    """Tell SQLite's own error, which names neither the file nor what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"no room for temporary files: {error}", where="TMPDIR", hint=HINT) from error
