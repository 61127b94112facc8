"""Names of columns that are nearly those we read: what a table has instead, so that nothing is left out without a word."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from distillery.components.articles.cells import is_missing
from distillery.components.articles.columns import COLUMNS, STRAY

_OTHER_NAMES: Final = {
    "id": "_id article_id guid uuid uid doc_id document_id key identifier item_id news_id story_id post_id row_id record_id",
    "title": "titles headline headlines heading subject titel titre titulo titolo name news_title article_title",
    "content": "contents text texts body body_text article articles full_text article_text article_body main_text content_text "
    "text_content description story plain_text raw_text inhalt contenu contenido testo texto texte",
    "source": "sources publisher outlet site domain newspaper publication source_name media feed",
    "language": "languages lang lang_code language_code locale sprache langue idioma lingua",
    "url": "urls link uri href permalink article_url source_url web_url",
    "published": "date pub_date publish_date published_at published_on publication_date published_date created_at "
    "date_published "
    "publish_time datetime timestamp datum",
    "scores": "labels ratings score label rating",
    "content_type": "content_types type kind article_type",
}  # fmt: skip
TOLD: Final = ("content", "title", "id", "source", "language", "url", "published")
MADE_UP: Final = {"id": " and are named by their text", "language": ", and it is guessed where it is needed"}
KEYS: Final = 1_000  # different names that are counted, at most


def _plain(name: str) -> str:
    """Return a name without what writers vary: case, accents, spaces, signs and marks that can't be seen."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return re.sub(r"[\W_]|[\u0300-\u036f]", "", letters)


_KNOWN: Final = {_plain(other): name for name, others in _OTHER_NAMES.items() for other in (name, *others.split())}


@lru_cache(4_096)
def known_name(name: str) -> str:
    """Return the column that a name is, or nearly is.

    Args:
        name: a column's name, as a file has it.

    Returns:
        Our name for it; empty where it is near none. `Title`, `headline` and a `title` behind a byte order mark are titles.
    """
    plain = name.strip(f"{STRAY}\"'").casefold()
    if plain.startswith(("score.", "reference.")):
        return plain
    return _KNOWN.get(_plain(name[:200]), "")


def bare_name(name: str) -> str:
    """Return the dimension that a column of scores is called by, as `Score.Substance` and `substance_score` are.

    Args:
        name: a column's name.

    Returns:
        The name without what says that it is a score, in small letters with underscores.
    """
    plain = re.sub(r"[\W_]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.strip(STRAY))).casefold().strip("_")
    return re.sub(r"^(?:scores?|ratings?|labels?)_(?=.)|(?<=.)_(?:scores?|ratings?)$", "", plain)


class Unread(BaseModel):
    """A column that rows lack, where the file has one of nearly its name that is not read.

    Attributes:
        column: our name.
        name: the file's.
        rows: how many rows lack the one and have the other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    column: str
    name: str
    rows: int

    def told(self, rows: int) -> str:
        """Return what to tell of them.

        Args:
            rows: all rows.

        Returns:
            A sentence.
        """
        what = f"{self.rows:,} of {rows:,} rows have no {self.column}{MADE_UP.get(self.column, '')}"
        return f"{what}; the file has {self.name!r}, which is not read"

    @property
    def mend(self) -> str:
        """Return the option that reads the column."""
        return f"--map {shlex.quote(f'{self.name}={self.column}')}"

    def advice(self, rows: int) -> str:
        """Return what to tell of them, with the option that reads the column.

        Args:
            rows: all rows.

        Returns:
            A sentence.
        """
        return f"{self.told(rows)}: add {self.mend}"


class NamesSeen:
    """Counts the names that the rows of a file have, to say at its end what was not read and what was made up."""

    def __init__(self) -> None:
        self.rows = 0
        self.names: Counter[str] = Counter()
        self.listed = ""  # where the first row has a list of objects that have content, as jq calls it
        self._unread: Counter[tuple[str, str]] = Counter()
        self._objects: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        """Count the names of one row.

        Args:
            row: the row under our names; cells without a value don't count.
        """
        self.rows += 1
        if not _has(row, "content") and sum(_holds_content(value) for value in row.values()) > 1:
            self.listed = self.listed or "[]"  # as jq calls all values of an object
        for name, value in row.items():
            if name not in self.names and len(self.names) >= KEYS:
                continue
            if is_missing(value) or value == "":
                continue
            self.names[name] += 1
            if isinstance(value, dict | list) or (isinstance(value, str) and value.lstrip()[:1] == "{"):
                self._objects.add(name)
            if isinstance(value, dict | list):
                if not _has(row, "content"):
                    self._look_into(name, value)
            elif name not in COLUMNS and (column := known_name(name)) in TOLD and not _has(row, column):
                self._unread[column, name] += 1

    def _look_into(self, name: str, value: dict[str, Any] | list[Any]) -> None:
        """Count what an object of a row without content holds that `--map` reads, or a list of what may be articles."""
        if isinstance(value, list):
            if value and _holds_content(value[0]):
                self.listed = self.listed or name
            return
        for inner, cell in value.items():
            if isinstance(cell, str) and cell and known_name(inner) in ("content", "title", "id") and len(self._unread) < KEYS:
                self._unread[known_name(inner), f"{name}.{inner}"] += 1
            elif isinstance(cell, list) and not self.listed:
                self._look_into(f"{name}.{inner}", cell)

    def near(self, column: str) -> list[str]:
        """Return names of the file that are nearly a column's and are not read.

        Args:
            column: our name of the column.

        Returns:
            The names, the most frequent first.
        """
        own = [name for name, _ in self.names.most_common() if name not in COLUMNS and known_name(name) == column]
        if column == "scores":  # a number that is called rating is one dimension's at most
            own = [name for name in own if name in self._objects]
        return [*own, *(name for (lacked, name), _ in self._unread.most_common() if lacked == column and name not in own)]

    def unread(self) -> list[Unread]:
        """Return the columns that rows lack and seem to have by another name.

        Returns:
            One for each column, by its most frequent other name.
        """
        found: dict[str, Unread] = {}
        for (column, name), rows in self._unread.most_common():
            found.setdefault(column, Unread(column=column, name=name, rows=rows))
        return [found[column] for column in TOLD if column in found]

    def notes(self) -> list[str]:
        """Return what to tell about rows that lack a column that they seem to have.

        Returns:
            One sentence for each such column.
        """
        return [each.advice(self.rows) for each in self.unread()]


def _has(row: Mapping[str, Any], column: str) -> bool:
    names = ("published", "published_date") if column == "published" else (column,)
    return any(not is_missing(row.get(name)) and row.get(name) != "" for name in names)


def _holds_content(value: Any) -> bool:
    return isinstance(value, dict) and any(known_name(str(name)) == "content" for name in value)
