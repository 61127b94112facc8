"""A student that names content types: trained, kept in its bundle, judged, and its scores capped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.artifacts.bundle import CONTENT_TYPES, StudentFacts
from distillery.components.artifacts.content_caps import read_caps
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.scoring.rows import judged
from distillery.components.store import Digest, Store
from distillery.components.store.layout import adapters_folder
from distillery.components.student.bundle import Student, check_golden, open_bundle, require_bundle, save_bundle
from distillery.components.student.content_types import open_types, softmax
from distillery.components.student.token_cache import Sharing, TokenCache
from distillery.components.training.train import train
from distillery.components.training.type_head import choose_threshold, logistic
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.steps import STEPS
from distillery.filters.verdict import judge
from tests.filters.broken import BASE
from tests.training.conftest import Notes, filter_of, store_split
from tests.training.typed import shares, typed_filter, typed_labels, typed_split

Trained = tuple[Store, Filter, str, str, Notes]


@pytest.fixture(scope="module", params=["tiny_encoder", "tiny_decoder"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from distillery.components.store import open_store

    store, notes = open_store(str(tmp_path_factory.mktemp("typed"))), Notes()
    flt, split = typed_filter(request.getfixturevalue(request.param), epochs=1), typed_split(store)
    return store, flt, split, str(train(store, flt, split=split, progress=notes).outputs["adapter"]), notes


def test_scores_are_capped_by_the_types_that_the_student_names(trained: Trained) -> None:
    store, flt, _, adapter, notes = trained
    student = open_bundle(store, "tiny", adapter, flt=flt)
    check_golden(student)
    assert student.types is not None
    assert student.types.names == ["notice", "rumour"]
    assert any("content type sermon: 0 train and 0 validation articles; it is never named" in note for note in notes.notes)
    labels = typed_labels(60, 9)
    rows = judged(flt, student, [label.article for label in labels]).to_pylist()
    named = [row["content_type"] for row in rows]
    assert min(shares(named, [label.content_type for label in labels], "notice")) > 0.6
    scores = np.array([[row[f"score.{name}"] for name in flt.dimensions] for row in rows])
    verdicts = judge(flt, scores, named)
    assert [row["overall"] for row in rows] == verdicts.overall.tolist()
    assert [row["reason"] or "" for row in rows] == verdicts.reason
    assert any(row["reason"] == "content type notice caps the overall at 1" for row in rows)
    for row in rows:
        assert row["content_type"] != "notice" or row["overall"] <= 1


def test_the_benchmark_judges_what_is_served(trained: Trained) -> None:
    store, flt, split, adapter, _ = trained
    record = benchmark(store, flt, adapter=adapter, split=split)
    figures = read_caps(store, flt, {**record.outputs, "adapter": adapter, "split": split})
    assert figures is not None
    assert figures.head is not None
    assert figures.head.overall_mae < figures.overall_mae
    assert figures.head.overall_mae == pytest.approx(json.loads(store.get(record.outputs["key"]))["overall_mae"])
    assert figures.head.types["notice"].labelled == 20
    assert figures.head.types["sermon"].predicted == 0


def test_an_article_has_its_type_alone_and_in_any_company(trained: Trained) -> None:
    store, flt, _, adapter, _ = trained
    student = open_bundle(store, "tiny", adapter, flt=flt)
    texts = [(label.article.title, label.article.content) for label in typed_labels(24, 9)]
    raw, together = student.with_probabilities(student.tokens(texts))
    alone = np.concatenate([student.with_probabilities(student.tokens([text]))[1] for text in texts])
    assert np.abs(together - alone).max() < 1e-4
    assert np.abs(together - student.with_probabilities(student.tokens(texts[::-1]))[1][::-1]).max() < 1e-4
    assert np.abs(together.sum(axis=1) - 0.5).max() <= 0.5
    assert np.array_equal(raw, student.predict(texts))
    assert Sharing(student, TokenCache()).read(texts).content_types == student.read(texts).content_types


def test_the_head_changes_no_score(trained: Trained) -> None:
    store, flt, _, adapter, _ = trained
    student = open_bundle(store, "tiny", adapter, flt=flt)
    texts = [(label.article.title, label.article.content) for label in typed_labels(12, 9)]
    bare = replace(student, types=None, _forward=None)
    assert np.abs(student.predict(texts) - bare.predict(texts)).max() < 1e-5
    assert bare.read(texts).content_types is None


def test_another_training_gives_the_same_bundle_and_one_without_the_head_another(trained: Trained, tmp_path: Path) -> None:
    from distillery.components.store import open_store

    store, flt, split, adapter, _ = trained
    again = open_store(str(tmp_path / "again"))
    assert train(again, flt, split=typed_split(again)).outputs["adapter"] == adapter
    off = typed_filter(Path(flt.spec.student.baseModel), "none", epochs=1)
    bare = str(train(store, off, split=split).outputs["adapter"])
    assert bare != adapter
    folders = [store.folder(adapters_folder("tiny"), Digest(digest)) for digest in (adapter, bare)]
    assert set(require_bundle(folders[0])) - set(require_bundle(folders[1])) == {CONTENT_TYPES}
    assert {folders[0].read(name) == folders[1].read(name) for name in require_bundle(folders[1])} == {True}
    rows = judged(off, open_bundle(store, "tiny", bare), [label.article for label in typed_labels(6, 9)])
    assert "content_type" not in rows.column_names


def test_filters_that_say_nothing_of_it_keep_their_digests() -> None:
    flt = Filter.model_validate({**BASE, "metadata": {"name": "broken"}})
    assert hashlib.sha256("".join(step_digest(flt, step) for step in STEPS).encode()).hexdigest()[:16] == "d93bccc6957cb3cb"
    assert "contentTypes" not in flt.model_dump(mode="json")["spec"]["student"]
    asked = flt.model_copy(deep=True)
    object.__setattr__(asked.spec.student, "contentTypes", "head")
    assert [step for step in STEPS if step_digest(flt, step) != step_digest(asked, step)] == ["train"]


def test_the_names_of_the_types_count_where_a_student_learns_them(tiny_encoder: Path) -> None:
    flt, off = typed_filter(tiny_encoder), typed_filter(tiny_encoder, "none")
    for one, moves in ((flt, True), (off, False)):
        document = one.model_dump()
        document["spec"]["contentTypes"] = document["spec"]["contentTypes"][:2]
        assert (step_digest(Filter.model_validate(document), "train") != step_digest(one, "train")) is moves
    document = flt.model_dump()
    document["spec"]["contentTypes"][0]["cap"] = 9.0  # a cap is arithmetic
    assert step_digest(Filter.model_validate(document), "train") == step_digest(flt, "train")


def test_labels_that_name_no_type_are_refused_before_anything_is_trained(
    store: Store, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distillery.pipelines.first_look import look

    monkeypatch.setattr("distillery.components.training.loop.Loop.run", None)
    flt = typed_filter(tiny_encoder)
    with pytest.raises(InputError, match=r"no label names a content type \(notice, rumour, sermon\)"):
        train(store, flt, split=typed_split(store, (24, 12, 6), named=False))
    for named in (True, False):
        path = tmp_path / f"{named}.jsonl"
        rows = [
            {"id": label.article.id, "title": label.article.title, "content": label.article.content, "scores": label.scores}
            | ({"content_type": label.content_type} if label.content_type else {})
            for label in typed_labels(12, 3, named=named)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if named:
            assert look(flt, path, labels=True) == 12
            continue
        with pytest.raises(InputError, match="no label names a content type"):
            look(flt, path, labels=True)
        assert look(typed_filter(tiny_encoder, "none"), path, labels=True) == 12


def test_a_filter_without_types_has_none_to_name(tiny_encoder: Path) -> None:
    with pytest.raises(ValueError, match="the filter has no content types to name"):
        typed_filter(tiny_encoder, types=[])


def test_where_every_type_is_too_rare_none_is_named_and_it_is_said(store: Store, tiny_encoder: Path) -> None:
    flt, notes = typed_filter(tiny_encoder, epochs=1), Notes()
    adapter = str(train(store, flt, split=typed_split(store, (30, 12, 6)), progress=notes).outputs["adapter"])
    student = open_bundle(store, "tiny", adapter, flt=flt)
    check_golden(student)
    assert [note for note in notes.notes if note.startswith("content type notice: 10 train and 4 validation")]
    rows = judged(flt, student, [label.article for label in typed_labels(6, 9)])
    assert rows["content_type"].to_pylist() == [None] * 6


Break = Callable[[dict[str, Any]], object]
BREAKS: dict[str, tuple[Break, str]] = {
    "twice": (lambda file: file["types"].append(file["types"][0]), "two content types of one name"),
    "narrow": (lambda file: file["types"][0]["weights"].pop(), "notice has no row of 32 weights"),
    "threshold": (lambda file: file["types"][2].update(threshold=0.5), "sermon has a threshold and no weights"),
    "golden": (lambda file: file["golden"].pop(), "don't match the golden texts and types"),
    "nan": (lambda file: file["types"][0].update(bias=1e999), "Infinity is not JSON"),
    "key": (lambda file: file.update(more=1), "is not the content_types.json of a bundle"),
    "newer": (lambda file: file.update(format=2), "reads formats up to 1"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_damaged_file_is_told_in_one_line(trained: Trained, what: str) -> None:
    store, flt, _, adapter, _ = trained
    student = open_bundle(store, "tiny", adapter, flt=flt)
    assert student.types is not None
    file, (change, said) = student.types.file.to_json(), BREAKS[what]
    change(file)
    with pytest.raises((InputError, ValueError), match=said) as caught:
        open_types(json.dumps(file).encode(), student.facts, len(student.golden[0]), CONTENT_TYPES)
    assert "\n" not in str(caught.value)


def test_a_head_of_another_student_is_found_by_the_golden_texts(trained: Trained, store: Store) -> None:
    home, flt, _, adapter, _ = trained
    student = open_bundle(home, "tiny", adapter, flt=flt)
    assert student.types is not None
    file = student.types.file
    rows = [row.model_copy(update={"weights": row.weights[::-1]}) for row in file.types]
    other = replace(student.types, file=file.model_copy(update={"types": rows}))
    digest = save_bundle(store, "tiny", replace(student, types=other))
    with pytest.raises(InputError, match="gives other content types"):
        check_golden(open_bundle(store, "tiny", digest, flt=flt))


@pytest.mark.parametrize(("classes", "none"), [([0, 1, 2], 2), ([0, 1], 1), ([0, 1, 2], 3), ([0, 1], 2), ([0, 1, 2, 3], 3)])
def test_rows_beside_the_zero_row_are_the_library_s_regression(classes: list[int], none: int) -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(len(classes) + none)
    y = rng.choice(classes, 300)
    x = rng.normal(size=(300, 5)) + np.eye(5)[y % 5]
    rows, bias = logistic(x, y, none, 1.0)
    found = softmax(x @ rows.T + bias)
    whole = np.concatenate([found, 1 - found.sum(axis=1, keepdims=True)], axis=1)
    model = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(x, y)
    assert np.abs(whole[:, classes] - model.predict_proba(x)).max() < 1e-3


def test_articles_of_one_type_alone_are_of_that_type() -> None:
    rows, bias = logistic(np.ones((4, 3)), np.zeros(4, dtype=np.int64), 1, 1.0)
    assert softmax(np.ones((4, 3)) @ rows.T + bias).min() > 0.999


def test_a_threshold_has_the_best_f1_of_those_that_are_precise() -> None:
    values = np.array([0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4])
    probabilities = np.stack([values, 0.01 * np.ones(8)], axis=1)
    classes = np.array([0, 0, 0, 0, 1, 0, 1, 1])
    cut = choose_threshold(probabilities, classes, 0)
    # 5 of 6 above 0.55: precision 0.833, recall 1; with the next one 5 of 7, which is not precise enough
    assert cut.threshold == pytest.approx(0.55)
    assert (cut.precision, cut.recall) == (pytest.approx(5 / 6), 1.0)
    assert choose_threshold(probabilities, np.array([1, 1, 0, 0, 0, 1, 0, 0]), 0).threshold is None
    assert choose_threshold(probabilities, classes, 1) == (None, None, None)  # it is never the likeliest
    tied = np.stack([np.full(8, 0.6), np.zeros(8)], axis=1)
    assert choose_threshold(tied, classes, 0).threshold is None  # 5 of 8, and no cut between equal ones


def test_a_bundle_without_the_file_is_what_it_was(store: Store, tiny_encoder: Path) -> None:
    flt = filter_of(tiny_encoder, epochs=1)
    adapter = str(train(store, flt, split=store_split(store)).outputs["adapter"])
    student: Student = open_bundle(store, "tiny", adapter)
    assert student.types is None
    assert CONTENT_TYPES not in require_bundle(store.folder(adapters_folder("tiny"), Digest(adapter)))
    assert "contentTypes" not in json.dumps(StudentFacts.model_dump(student.facts))
