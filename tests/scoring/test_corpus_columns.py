"""Folders that are columns, and what scoring tells of a corpus whose columns have other names."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from distillery.components.articles.articles import COLUMNS
from distillery.components.scoring.corpus import find_corpus
from distillery.components.scoring.part import _Articles


def test_folders_of_hive_are_columns_of_a_corpus_and_other_names_are_told(tmp_path: Path) -> None:
    for language in ("en", "nl"):
        folder = tmp_path / f"language={language}" / "source=De%20Tijd"
        folder.mkdir(parents=True)
        rows: list[dict[str, Any]] = [{"ID": "x", "content": f"Text in {language}."}, {"content": "Own.", "language": "fr"}]
        (folder / "part-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    articles = _Articles(cast(Any, SimpleNamespace(corpus=find_corpus(str(tmp_path)), shards=1)), 0)
    found = [(article.language, article.source) for article in articles]
    assert found == [("en", "De Tijd"), ("fr", "De Tijd"), ("nl", "De Tijd"), ("fr", "De Tijd")]
    assert [note[:50] for note in articles.seen.notes(COLUMNS)] == ["no row has an id, and each is named by its text; t"]
