"""The demo files on disk: articles.jsonl and replies.jsonl, the same bytes for the same n and seed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple

from distillery.components.articles.articles import article_digest
from distillery.components.articles.sample_order import priority
from distillery.components.demo.corpus import DemoArticle, generate
from distillery.components.demo.replies import record

AGAIN = 60


class DemoFiles(NamedTuple):
    """Where the two files lie, and how many articles and replies they hold."""

    articles: Path
    replies: Path
    n_articles: int
    n_replies: int


def write_demo(folder: Path, n: int = 1500, seed: int = 7) -> DemoFiles:
    """Write both files into `folder` (made where absent). Each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    articles: list[DemoArticle] = list(generate(n, seed))
    paths = folder / "articles.jsonl", folder / "replies.jsonl"
    return DemoFiles(
        *paths,
        _write(paths[0], (article.row() for article in articles)),
        _write(paths[1], record(articles, seed, asked_again(articles))),
    )


def asked_again(articles: Iterable[DemoArticle]) -> frozenset[str]:
    """Ids of the articles with several recordings: the first ones in the order that `distillery noise` draws in."""

    def place(article: DemoArticle) -> bytes:
        return priority("noise:random", article_digest(article.title, article.content))

    first = nsmallest(AGAIN, articles, key=place)
    return frozenset(article.id for article in first)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    partial = path.with_name(path.name + ".part")
    count = 0
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return count
