"""The demo files: the same bytes for the same n and seed.

`python -m tests.demo.generator.files` packs those that `distillery demo` writes into components/demo.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple

from distillery.components.articles.articles import article_digest
from distillery.components.articles.sample_order import order_key
from tests.demo.generator.corpus import DemoArticle, generate
from tests.demo.generator.replies import record

PACKAGE = Path(__file__).resolve().parents[3] / "components" / "demo"
AGAIN = 60


class GeneratedFiles(NamedTuple):
    """Where the two files lie, and how many articles and replies they hold."""

    articles: Path
    replies: Path
    n_articles: int
    n_replies: int


def write_files(folder: Path, n: int = 1500, seed: int = 7) -> GeneratedFiles:
    """Generate `n` articles and the replies to them, and write both files into `folder`."""
    articles = list(generate(n, seed))
    paths = folder / "articles.jsonl", folder / "replies.jsonl"
    return GeneratedFiles(
        *paths,
        _write(paths[0], (article.row() for article in articles)),
        _write(paths[1], record(articles, seed, asked_again(articles))),
    )


def asked_again(articles: Iterable[DemoArticle]) -> frozenset[str]:
    """Return ids of the articles with several recordings: the first ones in the order that `distillery noise` draws in."""

    def place(article: DemoArticle) -> bytes:
        return order_key("noise:random", article_digest(article.title, article.content))

    first = nsmallest(AGAIN, articles, key=place)
    return frozenset(article.id for article in first)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_bytes("".join(lines).encode())
    return len(lines)


def pack(path: Path) -> None:
    """Compress a file to the same name with .gz in the package; no time is written, so the same rows give the same bytes."""
    (PACKAGE / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        for made in write_files(Path(scratch))[:2]:
            pack(made)
