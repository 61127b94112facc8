"""Names of columns that are nearly those we read: what a table has instead, so that nothing is left out without a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

_OTHER_NAMES = {
    "id": "_id article_id articleid guid uuid doc_id docid document_id key identifier",
    "title": "headline heading subject titel titre titulo headlines name",
    "content": "text body article fulltext full_text article_text maintext main_text content_text description",
    "source": "publisher outlet site domain newspaper publication source_name",
    "language": "lang lang_code language_code locale",
    "url": "link uri href permalink article_url source_url",
    "published": "date pubdate pub_date publish_date published_at publication_date publisheddate published_date created_at",
    "scores": "labels ratings score label",
    "content_type": "contenttype type kind",
}
_KNOWN = {other: name for name, others in _OTHER_NAMES.items() for other in (name, *others.split())}
_OF_FOLDERS = ("source", "language", "url", "published")
KEYS = 1_000  # different names that are counted, at most


def known_name(name: str) -> str:
    """Return the column that a name is, or nearly is.

    Args:
        name: a column's name, as a file has it.

    Returns:
        Our name for it; empty where it is near none. `Title`, `headline` and a `title` behind a byte order mark are titles.
    """
    plain = name.strip("\ufeff\u200b \t\r\n\"'").casefold().replace(" ", "_").replace("-", "_")
    if plain.startswith(("score.", "reference.")):
        return plain
    return _KNOWN.get(plain, "")


def folder_columns(path: str) -> dict[str, str]:
    """Return the columns that the folders of a path stand for, as Hive and Spark write them: "language=en/part-0.parquet".

    Args:
        path: the path of a file below its corpus.

    Returns:
        Values by our names; no id, title or content, which are no folder's.
    """
    pairs = (folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder)
    values = {known_name(unquote(name)): unquote(value) for name, _, value in pairs}
    return {name: value for name, value in values.items() if name in _OF_FOLDERS and value != "__HIVE_DEFAULT_PARTITION__"}


class NamesSeen:
    """Counts the names that the rows of a file have, to say at its end what was not read and what was made up."""

    def __init__(self) -> None:
        self.rows = 0
        self.names: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any]) -> None:
        """Count the names of one row.

        Args:
            row: the row; cells without a value don't count.
        """
        self.rows += 1
        for name, value in row.items():
            if value is not None and value != "" and (name in self.names or len(self.names) < KEYS):
                self.names[name] += 1

    def near(self, column: str, known: Iterable[str]) -> list[str]:
        """Return names of the file that are nearly a column's and are not read.

        Args:
            column: our name of the column.
            known: all names that are read.

        Returns:
            The names, the most frequent first.
        """
        read = set(known)
        return [name for name, _ in self.names.most_common() if name not in read and known_name(name) == column]

    def notes(self, known: Iterable[str]) -> list[str]:
        """Return what to tell about a file whose rows lack a column that they seem to have.

        Args:
            known: all names that are read.

        Returns:
            One sentence for each such column.
        """
        read, told = set(known), []
        for column in ("title", "id", "source", "language", "url", "published"):
            others = ("published", "published_date") if column == "published" else (column,)
            if not self.rows or any(self.names[other] for other in others):
                continue
            if near := self.near(column, read):
                what = "an id, and each is named by its text" if column == "id" else f"a {column}"
                what = f"no row has {what}; the file has {near[0]!r}, which is not read"
                told.append(f"{what}: rename it {column!r}")
        return told
