"""Several filters over one corpus: each article is read and tokenised once, and the scores are those of single runs."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distillery.components.scoring.corpus import Corpus
from distillery.components.scoring.score import Wanted, score_several
from distillery.components.student.tokens import Tokenizing
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter, load_filter_text
from tests.pipelines.harness import run_here
from tests.scoring.test_score import ADAPTER, FILTER, ROWS, Mortal, Reader, Stop, corpus, run
from tests.store.test_stores_of_the_first_layout import ARCHIVE


def other(**spec: Any) -> Filter:
    """The same dimensions under another name: no prefilter, other tiers."""
    text = dump_filter(FILTER).replace("name: demo", "name: other").replace("overall >= 6", "overall >= 2")
    flt = load_filter_text(text, "other.yaml")
    return flt.model_copy(update={"spec": flt.spec.model_copy(update={"prefilter": type(flt.spec.prefilter)(), **spec})})


OTHER = other()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each file of a corpus was opened to be read."""
    count, real = Counter[int](), Corpus.open

    @contextmanager
    def open(self: Corpus, file: int) -> Iterator[Any]:
        count[file] += 1
        with real(self, file) as stream:
            yield stream

    monkeypatch.setattr(Corpus, "open", open)
    return count


@pytest.mark.parametrize("fmt", ["parquet", "jsonl"])
def test_the_bytes_are_those_of_single_runs_and_files_are_read_once(tmp_path: Path, fmt: Any, opened: Counter[int]) -> None:
    rows = [*ROWS, "{bad", *({"id": f"a{n}", "content": f"{n % 10} {n % 7} text {n}"} for n in range(40))]
    articles = corpus(tmp_path / "a.jsonl", rows)
    for flt in (FILTER, OTHER):
        run(Reader(), articles, tmp_path / "single" / flt.name, fmt=fmt, shards=3) if flt is FILTER else score_several(
            [Wanted(flt, Reader(), ADAPTER, tmp_path / "single" / flt.name)], articles, fmt=fmt, shards=3
        )
    single = sum(opened.values())
    opened.clear()
    wanted = [Wanted(flt, Reader(), ADAPTER, tmp_path / "several" / flt.name) for flt in (FILTER, OTHER)]
    found = score_several(wanted, articles, fmt=fmt, shards=3, chunk=7)
    assert files(tmp_path / "several") == files(tmp_path / "single")
    assert [each["filter"] for each in found] == ["demo", "other"]
    assert (found[0]["prefiltered"], found[1]["prefiltered"]) == (2, 0)
    assert sum(opened.values()) * 2 == single


def test_filters_that_read_other_columns_read_them_on_their_own(tmp_path: Path, opened: Counter[int]) -> None:
    articles = corpus(tmp_path / "a.jsonl", [{"headline": "7 7", "content": "3 4 text"}])
    mapped = OTHER.with_columns({"headline": "title"})
    places = [tmp_path / "x", tmp_path / "y"]
    wanted = [Wanted(flt, Reader(), ADAPTER, place) for flt, place in zip((FILTER, mapped), places, strict=True)]
    score_several(wanted, articles, fmt="jsonl")
    titles = [json.loads((place / "part-00000.jsonl").read_text())["title"] for place in places]
    assert titles == ["", "7 7"]
    assert opened[0] == 2


def test_one_that_is_done_or_was_stopped_costs_the_others_nothing(tmp_path: Path) -> None:
    articles = corpus(tmp_path / "a.jsonl", [{"id": f"a{n}", "content": f"{n % 10} 5 number {n};"} for n in range(60)])
    wanted = [Wanted(FILTER, Reader(), ADAPTER, tmp_path / "x"), Wanted(OTHER, Mortal("number 33;"), ADAPTER, tmp_path / "y")]
    with pytest.raises(Stop):
        score_several(wanted, articles, shards=6)
    first, second = Reader(), Reader()
    wanted = [Wanted(FILTER, first, ADAPTER, tmp_path / "x"), Wanted(OTHER, second, ADAPTER, tmp_path / "y")]
    found = score_several(wanted, articles, shards=6)
    assert [each["articles"] for each in found] == [60, 60]
    assert len(first.seen) == len(second.seen)
    assert 20 <= len(first.seen) <= 40
    again = score_several(wanted, articles, shards=6)
    assert [each["reused"] for each in again] == [True, True]


def test_what_is_refused_of_one_leaves_no_new_folder_of_the_other(tmp_path: Path) -> None:
    articles = corpus(tmp_path / "a.jsonl", ROWS)
    wanted = [
        Wanted(FILTER, Reader(), ADAPTER, tmp_path / "x"),
        Wanted(OTHER, Reader(["readiness"]), ADAPTER, tmp_path / "y"),
    ]
    with pytest.raises(InputError, match="not the filter's dimensions in their order"):
        score_several(wanted, articles)
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "y").exists()


@pytest.fixture
def two_filters(tmp_path: Path) -> Path:
    """A store with one promoted adapter, and a second filter on whose channel the same bytes serve."""
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path / "old", filter="data")
    (tmp_path / "old" / "store").rename(tmp_path / ".distillery")
    store = tmp_path / ".distillery"
    text = (tmp_path / "old" / "filter.yaml").read_text("utf-8")
    for name in ("village-gain", "second"):
        (tmp_path / f"{name}.yaml").write_text(text.replace("village-gain", name), "utf-8")
    shutil.copytree(store / "adapters" / "village-gain", store / "adapters" / "second")
    shutil.copytree(store / "channels" / "village-gain", store / "channels" / "second")
    lines = (tmp_path / "old" / "articles.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "articles.jsonl").write_text("\n".join(lines[:30]), "utf-8")
    return tmp_path


def test_students_of_one_tokenizer_tokenise_each_article_once(two_filters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenised, real = list[int](), Tokenizing.__call__

    def counted(self: Tokenizing, texts: Any) -> Any:
        found = real(self, texts)
        tokenised.append(len(found))
        return found

    monkeypatch.setattr(Tokenizing, "__call__", counted)
    for name in ("village-gain", "second"):
        ran = run_here("score", f"{name}.yaml", "articles.jsonl", "--out", f"single/{name}", cwd=two_filters)
        assert ran.code == 0, ran.err
    single = sum(tokenised)
    tokenised.clear()
    words = ["village-gain.yaml", "second.yaml", "--articles", "articles.jsonl", "--out", "several"]
    ran = run_here("score", *words, "--json", cwd=two_filters)
    assert ran.code == 0, ran.err
    assert [each["filter"] for each in ran.json["scores"]] == ["village-gain", "second"]
    assert files(two_filters / "several") == files(two_filters / "single")
    assert sum(tokenised) * 2 == single
    again = run_here("score", *words, cwd=two_filters)
    assert again.out.startswith("village-gain:\n")
    assert "second:\n" in again.out
    assert again.out.count("were scored before") == 2
    twice = run_here("score", "second.yaml", "second.yaml", "--articles", "articles.jsonl", cwd=two_filters)
    assert "second: is named twice; each filter has a folder of its own" in twice.err
