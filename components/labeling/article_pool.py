"""The articles of a run, on disk instead of in memory: each row for the label set, each text once for the oracle.

The file is read once and checked whole before anything is paid; what it held then is what is labelled, whatever happens to it
later. The price is as much space for temporary files as the articles take, and 20 µs an article.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Final

from distillery.components.articles.articles import Article
from distillery.components.store import Digest

FIELDS: Final = ("id", "title", "content", "source", "language", "url", "published", "drawn_by")
PAGE: Final = 200


class Pool:
    """Rows in the order in which they were added. texts: how many different ones."""

    def __init__(self) -> None:
        self.texts = 0
        self.references = self.drawn = False
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for pragma in ("page_size = 16384", "journal_mode = OFF", "synchronous = OFF", "cache_size = -4000"):
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute("CREATE TABLE text (article BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._base.execute("CREATE TABLE article (row INTEGER PRIMARY KEY, article BLOB, id TEXT, fields TEXT)")
        self._base.execute("CREATE INDEX by_article ON article (article, id, row)")
        self._row = 0

    def add(self, article: Article, digest: Digest) -> bool:
        """Whether its text is new."""
        key = bytes.fromhex(digest)
        self._row += 1
        fields = [*(getattr(article, name) for name in FIELDS), article.reference]
        self.references = self.references or bool(article.reference)
        self.drawn = self.drawn or bool(article.drawn_by)
        self._base.execute(
            "INSERT INTO article VALUES (?, ?, ?, ?)", (self._row, key, article.id, json.dumps(fields, ensure_ascii=False))
        )
        new = self._base.execute("INSERT OR IGNORE INTO text VALUES (?, ?)", (key, self._row)).rowcount == 1
        self.texts += new
        return new

    def distinct(self) -> Iterator[tuple[Digest, Article]]:
        """Each text once, in the order of the file."""
        after = 0
        while rows := self._base.execute(
            "SELECT a.row, a.article, a.fields FROM article a JOIN text t ON t.article = a.article AND t.row = a.row "
            "WHERE a.row > ? ORDER BY a.row LIMIT ?", (after, PAGE)).fetchall():  # fmt: skip
            for row, key, fields in rows:
                after = row
                yield Digest(key.hex()), _article(fields)

    def rows(self) -> Iterator[tuple[Digest, Article]]:
        """All rows by digest and id, so that the order of the file makes no difference."""
        after: tuple[bytes, str, int] = (b"", "", 0)
        while rows := self._base.execute(
            "SELECT article, id, row, fields FROM article INDEXED BY by_article WHERE (article, id, row) > (?, ?, ?) "
            "ORDER BY article, id, row LIMIT ?", (*after, PAGE)).fetchall():  # fmt: skip
            for key, name, row, fields in rows:
                after = (key, name, row)
                yield Digest(key.hex()), _article(fields)

    def close(self) -> None:
        self._base.close()


def _article(fields: str) -> Article:
    *texts, reference = json.loads(fields)
    return Article(**dict(zip(FIELDS, texts, strict=True)), reference=reference)
