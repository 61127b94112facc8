"""Whose disagreement counts, in which dimensions, and what students know already: from what is in the store."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.split import FILES
from distillery.components.runtime.progress import quiet
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.pipelines.cli import ranking
from tests.artifacts.made import made_split_meta
from tests.documents import student_json
from tests.sampling.test_draw import FILTER

ONE = "{name: benefit, weight: 1, description: How much good it does.}"
TWO = FILTER.replace(ONE, "{name: benefit, weight: 1, description: Good.}, {name: cost, weight: 0, description: Bad.}")


@pytest.fixture
def flt() -> Filter:
    return load_filter_text(TWO, "demo.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def split(store: Store, flt: Filter) -> tuple[str, set[str]]:
    labels = [Label(Article(f"a{n}", "", f"Text {n}."), dict.fromkeys(flt.dimensions, 5.0)) for n in range(6)]
    table = write_table(label_table(labels, flt.dimensions))
    label_set = store.commit("labelsets", {"labels.parquet": table}, {"kind": "label set"})
    meta = made_split_meta(label_set=label_set)
    return store.commit("datasets", dict.fromkeys(FILES.values(), table), meta), {label.article.digest for label in labels}


def adapter(store: Store, split: str, dimensions: list[str], **more: Any) -> str:
    facts = json.dumps(student_json(dimensions=dimensions, split=split, **more)).encode()
    return store.commit("adapters/demo", {"student.json": facts}, {"kind": "adapter"})


def test_what_the_student_knows_is_its_whole_label_set(store: Store, flt: Filter) -> None:
    with pytest.raises(InputError, match="demo has no student in this store"):
        ranking.trained_articles(store, flt)
    made, articles = split(store, flt)
    adapter(store, made, flt.dimensions)
    assert ranking.trained_articles(store, flt) == articles


def test_labels_that_are_gone_are_told(store: Store, flt: Filter) -> None:
    adapter(store, "0" * 64, flt.dimensions)
    with pytest.raises(InputError, match="are not in this store"):
        ranking.trained_articles(store, flt)


def test_the_newest_students_of_the_filters_dimensions_disagree(
    store: Store, flt: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_(_: Store, flt: Filter, adapter: str, __: Any) -> Any:
        opened.append(adapter)
        return SimpleNamespace(dimensions=flt.dimensions)

    monkeypatch.setattr(ranking, "_opened", open_)
    assert ranking.doubt_of(store, flt, [], quiet) == (None, "")
    adapter(store, "0" * 64, ["other"])
    first = adapter(store, "0" * 64, flt.dimensions, steps=1)
    assert ranking.doubt_of(store, flt, [], quiet) == (None, "")
    more = [adapter(store, "0" * 64, flt.dimensions, steps=number) for number in (2, 3, 4)]
    doubt, name = ranking.doubt_of(store, flt, [], quiet)
    assert doubt is not None
    assert len(opened) == ranking.COMMITTEE
    assert set(opened) < {first, *more}
    assert name.endswith(" in benefit, cost")  # nobody judged them


def test_weak_is_the_third_with_the_largest_errors(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"d{n}" for n in range(7)]
    dimensions = ", ".join(f"{{name: {name}, weight: {1 / 7:.6f}, description: Good.}}" for name in names)
    flt = load_filter_text(FILTER.replace(ONE, dimensions), "demo.yaml")
    errors = dict(zip(names, (0.5, 0.9, 0.4, None, 0.8, 0.7, 0.6), strict=True))
    benchmark = SimpleNamespace(dimensions={name: SimpleNamespace(mae=mae) for name, mae in errors.items()})
    summary = SimpleNamespace(outputs={"adapter": "a" * 64, "test": "b" * 64, "benchmark": "c" * 64})
    monkeypatch.setattr("distillery.components.artifacts.adapter.find_summary", lambda *_: summary)
    monkeypatch.setattr("distillery.components.artifacts.benchmark.read_benchmark", lambda *_: benchmark)
    assert ranking._weakest(store, flt, "a" * 64) == ["d1", "d4", "d5"]
