"""What a file has by another name goes from the label step to the audit, with counts; once it is read, nothing is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from distillery.components.artifacts.audit import read_audit
from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.auditing.audit import audit
from distillery.components.labeling.label import label, label_inputs
from distillery.components.store import Digest, Store, StoreError, open_store
from distillery.components.store.layout import LABEL_SETS
from distillery.filters.filter import Filter
from tests.auditing.conftest import DIMENSIONS, make
from tests.made_up_filter import small_filter

COLUMNS = {"headline": "title", "uid": "id", "clarity": "score.clarity"}


@pytest.fixture
def flt() -> Filter:
    return small_filter(DIMENSIONS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, delimiter=";")
        rows.writerow(["uid", "headline", "content", "language", *(f"score.{name}" for name in DIMENSIONS)])
        for each in make(40):
            article = each.article
            rows.writerow([article.id, article.title, article.content, "en", *each.scores.values()])
    return path


def test_the_audit_says_what_was_not_read_and_what_was_made_up(store: Store, flt: Filter, labels: Path) -> None:
    digest = label(store, flt, labels=str(labels)).outputs["label_set"]
    meta = LabelSetMeta.of(store.folder(LABEL_SETS, Digest(digest)))
    assert meta.unread is not None
    assert [(each.column, each.name, each.rows) for each in meta.unread] == [("title", "headline", 40), ("id", "uid", 40)]
    document = read_audit(store, audit(store, flt, label_set=digest).outputs["audit"])
    said = [f"{each.level}: {each.message}; {each.hint}" for each in document.findings if each.check == "columns"]
    assert said == [
        "warn: 40 of 40 rows have no title; the file has 'headline', which is not read; read it: --map headline=title",
        "warn: 40 of 40 rows have no id and are named by their text; the file has 'uid', which is not read; "
        "read it: --map uid=id",
    ]
    assert (document.unnamed, len(document.unread)) == (40, 2)


def test_once_it_is_read_nothing_is_said(store: Store, flt: Filter, labels: Path) -> None:
    mapped = flt.with_columns({"headline": "title", "uid": "id"})
    digest = label(store, mapped, labels=str(labels)).outputs["label_set"]
    assert "unread" not in store.folder(LABEL_SETS, Digest(digest)).meta
    document = read_audit(store, audit(store, mapped, label_set=digest).outputs["audit"])
    assert [each for each in document.findings if each.check == "columns"] == []
    assert b"unread" not in document.to_bytes()
    assert b"unnamed" not in document.to_bytes()


@pytest.mark.parametrize(
    "unread",
    [
        [{"column": "title", "name": "headline", "rows": "many"}],
        [{"column": "title", "name": "headline"}],
        [{"column": "title", "name": "headline", "rows": 40, "more": 1}],
        [["title", "headline", 40]],
        "title",
    ],
)
def test_a_manifest_whose_unread_columns_are_none_is_refused_in_one_line(
    store: Store, flt: Filter, labels: Path, unread: object
) -> None:
    folder = store.folder(LABEL_SETS, Digest(str(label(store, flt, labels=str(labels)).outputs["label_set"])))
    files: dict[str, bytes | Path] = {name: folder.read(name) for name in folder.files}
    digest = store.commit(LABEL_SETS, files, {**folder.meta, "unread": unread})
    with pytest.raises(StoreError, match="is not the manifest of a label set: unread") as error:
        audit(store, flt, label_set=digest)
    assert error.value.hint == "redo the step that wrote it"
    assert "\n" not in str(error.value)


def test_names_of_columns_are_part_of_what_the_labels_depend_on_and_none_are_no_part(flt: Filter) -> None:
    digest = Digest("a" * 64)
    assert "columns" not in label_inputs(flt, None, digest)
    assert label_inputs(flt.with_columns(COLUMNS), None, digest)["columns"] == COLUMNS
