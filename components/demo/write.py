"""Writes the demo corpus, which the package holds compressed: articles whose true scores are known, and an oracle's replies."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from distillery.components.runtime.whole_file import write_whole


class DemoFiles(NamedTuple):
    """Paths of the two files that were written, and how many articles the first one has."""

    articles: Path
    replies: Path
    n_articles: int


def write_demo(folder: Path) -> DemoFiles:
    """Write articles.jsonl and replies.jsonl into a folder; each file appears complete or not at all.

    Args:
        folder: where the files go; made if absent.

    Returns:
        The paths of both files, and the number of articles.

    Raises:
        OSError: the folder cannot be made, or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    articles, replies = folder / "articles.jsonl", folder / "replies.jsonl"
    rows = _unpack(articles)
    _unpack(replies)
    return DemoFiles(articles, replies, rows)


def _unpack(path: Path) -> int:
    """Write the packaged file of the same name to `path`; return its number of rows."""
    data = gzip.decompress(files(__package__).joinpath(f"{path.name}.gz").read_bytes())
    write_whole(path, data)
    return data.count(b"\n")
