"""The articles of a run, on disk instead of in memory: each row for the label set, each text once for the oracle.

The file is read once and checked whole before anything is paid; what it held then is what is labeled, whatever happens to it
later. The price is as much space for temporary files as the articles take, and 20 µs an article.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from distillery.components.articles.articles import Article
from distillery.components.labeling.scratch_file import ScratchFile
from distillery.components.store import Digest
from distillery.filters.strict_json import loads

FIELDS: Final = ("id", "title", "content", "source", "language", "url", "published", "drawn_by")
PAGE: Final = 200  # rows read at a time


class ArticlePool:
    """Keeps articles in the order in which they were added.

    Attributes:
        texts: how many different texts there are.
        references: whether any article has true scores.
        drawn: whether a rule of a sample drew any article.
    """

    def __init__(self) -> None:
        self.texts = 0
        self.references = self.drawn = False
        self._file = ScratchFile(
            "CREATE TABLE text (article BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID",
            "CREATE TABLE article (row INTEGER PRIMARY KEY, article BLOB, id TEXT, fields TEXT)",
            "CREATE INDEX by_article ON article (article, id, row)",
            page_size=16384,
        )
        self._row = 0

    def add(self, article: Article, digest: Digest) -> bool:
        """Add an article.

        Args:
            article: the article.
            digest: its digest.

        Returns:
            True if no article with the same text was added before.
        """
        key = bytes.fromhex(digest)
        self._row += 1
        fields = [*(getattr(article, name) for name in FIELDS), article.reference]
        self.references = self.references or bool(article.reference)
        self.drawn = self.drawn or bool(article.drawn_by)
        text = json.dumps(fields, ensure_ascii=False)
        self._file.change("INSERT INTO article VALUES (?, ?, ?, ?)", self._row, key, article.id, text)
        new = self._file.change("INSERT OR IGNORE INTO text VALUES (?, ?)", key, self._row) == 1
        self.texts += new
        return new

    def distinct(self) -> Iterator[tuple[Digest, Article]]:
        """Yield each text once, in the order of the file.

        Yields:
            The article's digest, and the first article with this text.
        """
        last_row = 0
        while rows := self._file.rows(
            "SELECT a.row, a.article, a.fields FROM article a JOIN text t ON t.article = a.article AND t.row = a.row "
            "WHERE a.row > ? ORDER BY a.row LIMIT ?", last_row, PAGE):  # fmt: skip
            for row, key, fields in rows:
                last_row = row
                yield Digest(key.hex()), _article(fields)

    def rows(self) -> Iterator[tuple[Digest, Article]]:
        """Yield all rows by digest and id, so that the order of the file makes no difference.

        Yields:
            The article's digest, and the article.
        """
        last: tuple[bytes, str, int] = (b"", "", 0)
        while rows := self._file.rows(
            "SELECT article, id, row, fields FROM article INDEXED BY by_article WHERE (article, id, row) > (?, ?, ?) "
            "ORDER BY article, id, row LIMIT ?", *last, PAGE):  # fmt: skip
            for key, name, row, fields in rows:
                last = (key, name, row)
                yield Digest(key.hex()), _article(fields)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def _article(fields: str) -> Article:
    *texts, reference = loads(fields)
    return Article(**dict(zip(FIELDS, texts, strict=True)), reference=reference)
