"""The columns that are read of a table, and those that are read under another name of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from distillery.filters.columns import TARGETS
from distillery.filters.errors import InputError

COLUMNS: Final = frozenset({*TARGETS, "published_date", "drawn_by"})
STRAY: Final = "\ufeff\u200b \t\r\n"  # what exports leave around a column's name


class Renamed:
    """Gives the columns of a file our names, as a filter's `data.columns` says.

    A column that has one of our names is left alone where another column is read under it.

    Attributes:
        columns: our names by the file's.
        used: names of the file that were met.
    """

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        """Note the names.

        Args:
            columns: our names by the file's; None for none.
        """
        self.columns = dict(columns or {})
        self.used: set[str] = set()

    def names(self, header: Sequence[str]) -> list[str]:
        """Return our names for the columns of a table.

        Args:
            header: the file's names.

        Returns:
            A name for each; empty where the column is not read.

        Raises:
            ValueError: two columns have one name, the file's or ours.
        """
        found = {name: self._ours(name) for name in header}
        taken = {ours for ours in found.values() if ours}
        names = [found[name] or ("" if _hidden(name, taken) else name) for name in header]
        if twice := _twice(header) or _twice(names):
            raise ValueError(f"has column {twice!r} twice")
        return names

    def header(self, header: Sequence[str], where: str) -> list[str]:
        """Return our names for the columns of a file.

        Args:
            header: the file's names.
            where: the file, for the error.

        Returns:
            As `names`.

        Raises:
            InputError: two columns have one name, the file's or ours.
        """
        try:
            return self.names(header)
        except ValueError as error:
            raise InputError(str(error), where=where, hint="remove one of them, or give it another name") from None

    def row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row under our names.

        Args:
            row: cells by the file's names.

        Returns:
            Cells by our names.

        Raises:
            ValueError: two of its cells have one name of ours.
        """
        if not self.columns:
            return row
        return {ours: row[name] for name, ours in zip(row, self.names(list(row)), strict=True) if ours}

    def notes(self) -> list[str]:
        """Return what to tell of columns that were named and never met.

        Returns:
            One sentence for each.
        """
        return [
            f"no row has a column {name!r}, which would be read as {ours!r}"
            for name, ours in self.columns.items()
            if name not in self.used
        ]

    def _ours(self, name: str) -> str:
        key = name if name in self.columns else name.strip(STRAY)
        if key in self.columns:
            self.used.add(key)
        return self.columns.get(key, "")


def _twice(names: Sequence[str]) -> str:
    return min((name for name in set(names) if name and names.count(name) > 1), default="")


def _hidden(name: str, taken: set[str]) -> bool:
    """True if a column of our name gives way to one that is read under it."""
    whole = {"scores": "score.", "reference": "reference."}.get(name)
    return (
        name in taken
        or (name == "published_date" and "published" in taken)
        or (whole is not None and any(ours.startswith(whole) for ours in taken))
    )
