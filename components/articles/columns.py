"""The columns that are read of a table, and those that are read under another name of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from distillery.filters.columns import TARGETS
from distillery.filters.errors import InputError

COLUMNS: Final = frozenset({*TARGETS, "published_date", "drawn_by"})
STRAY: Final = "\ufeff\u200b \t\r\n"  # what exports leave around a column's name


class Wanted(NamedTuple):
    """The columns that are read of a table, by our names.

    Attributes:
        names: whole names.
        prefixes: beginnings of names.
        endings: ends of names.
    """

    names: frozenset[str]
    prefixes: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """True if a column is read.

        Args:
            name: our name of it.

        Returns:
            Whether it is; False for the empty name.
        """
        return bool(name) and (name in self.names or name.startswith(self.prefixes) or name.endswith(self.endings))


class Renamed:
    """Gives the columns of a file our names, as a filter's `data.columns` says.

    A column that has one of our names is left alone where another column is read under it. `analysis.dimensions` is what stands
    under "dimensions" in the object of the column "analysis", unless the file has a column of that whole name.

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
        self._paths = [name for name in self.columns if "." in name.strip(".")]

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
        row = row | {path: value for path in self._paths if path not in row and (value := _inner(row, path)) is not None}
        return {ours: row[name] for name, ours in zip(row, self.names(list(row)), strict=True) if ours}

    def holds(self, name: str) -> bool:
        """True if a column is read for what stands within its objects.

        Args:
            name: the file's name of it.

        Returns:
            Whether any path begins with it.
        """
        return any(path.startswith(f"{name}.") for path in self._paths)

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


def _inner(row: Mapping[str, Any], path: str) -> Any:
    """Return what stands in a row at the end of a path of names; None where there is nothing."""
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
