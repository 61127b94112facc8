"""Folders that are columns, and what scoring tells of a corpus whose columns have other names."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.scoring.corpus import cut, find_corpus
from distillery.components.scoring.part import _Articles


def planned(folder: Path, shards: int) -> Any:
    """What is read of a plan."""
    corpus = find_corpus(str(folder))
    return SimpleNamespace(corpus=corpus, pieces=lambda index: cut(corpus, shards, index))


def test_folders_of_hive_are_columns_of_a_corpus_and_other_names_are_told(tmp_path: Path) -> None:
    for language in ("en", "nl"):
        folder = tmp_path / f"language={language}" / "source=De%20Tijd"
        folder.mkdir(parents=True)
        rows: list[dict[str, Any]] = [{"ID": "x", "content": f"Text in {language}."}, {"content": "Own.", "language": "fr"}]
        (folder / "part-0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    articles = _Articles(planned(tmp_path, 1), 0)
    found = [(article.language, article.source) for article in articles]
    assert found == [("en", "De Tijd"), ("fr", "De Tijd"), ("nl", "De Tijd"), ("fr", "De Tijd")]
    told = [note[:50] for note in articles.seen.notes()]
    assert told == ["2 of 4 rows have no id and are named by their text"]


@pytest.mark.parametrize("shards", [1, 3])
def test_files_that_are_not_cut_are_read_by_one_part_whole(tmp_path: Path, shards: int) -> None:
    import gzip

    rows = [{"headline": "T", "content": f"Text {number}."} for number in range(5)]
    csv = "headline;content\n" + "".join(f"T;Text {number}.\n" for number in range(5))
    (tmp_path / "a.csv").write_text(csv)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(csv.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows))
    (tmp_path / "d.json").write_text("\n".join(json.dumps(row, indent=1) for row in rows))
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "README.md").write_text("no rows\n")
    plan = planned(tmp_path, shards)
    parts = [_Articles(plan, index, {"headline": "title"}) for index in range(shards)]
    found = [(article.title, article.content) for part in parts for article in part]
    assert sorted(found) == sorted(("T", f"Text {number}.") for number in range(5) for _ in range(5))
    assert not any(part.rejects or part.seen.notes() for part in parts)


def test_a_plan_of_other_names_is_another_job() -> None:
    from distillery.filters.columns import map_overrides
    from distillery.filters.loading import dump_filter, load_filter, with_overrides

    flt = load_filter("uplifting")
    mapped = with_overrides(flt, map_overrides(["headline=title"]))
    assert with_overrides(flt, ()) is flt
    assert mapped.columns == {"headline": "title"}
    assert dump_filter(mapped) != dump_filter(flt)
    assert "columns" not in dump_filter(flt)
    assert mapped.with_columns({}) == flt
    assert flt.with_columns({}) == flt


def test_columns_that_are_given_go_before_those_of_the_labels_an_adapter_learned_from() -> None:
    from distillery.components.artifacts.adapter import Subject
    from distillery.filters.columns import map_overrides
    from distillery.filters.errors import InputError
    from distillery.filters.loading import load_filter

    learned = load_filter("uplifting", overrides=map_overrides(["headline=title", "body=content", "mood=agency"]))
    subject = Subject(learned, "a" * 64)
    assert subject.renamed([]) is subject
    wanted = {"body": "content", "mood": "score.agency", "Titel": "title"}
    assert subject.renamed(["Titel=title"]).filter.columns == wanted
    assert subject.renamed(["headline=content"]).filter.columns == {"mood": "score.agency", "headline": "content"}
    with pytest.raises(InputError, match="both title"):
        subject.renamed(["a=title", "b=title"])


def test_a_corpus_without_articles_names_the_column_that_has_their_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,A text.\n2,Another.\n")
    plan = planned(tmp_path, 1)
    part = _Articles(plan, 0, {"gone": "title", "mood": "score.agency"})
    assert list(part) == []
    assert part.first_reject.endswith(
        "a.csv:2: has no content; 2 of 2 rows have no content; the file has 'text', which is not read: add --map text=content"
    )
    assert part.unmet() == ["gone"]
