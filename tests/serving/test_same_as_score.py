"""The server answers what `distillery score` writes, whatever shares a batch."""

from __future__ import annotations

import json
import random
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import as_article
from distillery.components.scoring.score import score
from distillery.components.serving.app import Service
from distillery.components.serving.batching import Batcher
from distillery.components.store import Store
from distillery.components.student.bundle import Student, open_bundle
from tests.conftest import WORDS
from tests.serving.made import FILTER, Client, loaded

EQUAL = 1e-4  # points, in fp32


def made_rows(seed: int, number: int) -> list[dict[str, Any]]:
    """Articles of 1 to 120 words; some are refused by the prefilter."""
    drawn, words = random.Random(seed), WORDS.split()

    def text(most: int) -> str:
        return " ".join(drawn.choices(words, k=drawn.randint(1, most)))

    rows = [{"id": f"a{n}", "title": text(9), "content": text(120)} for n in range(number)]
    for row in drawn.sample(rows, number // 10):
        row["content"] += " casino"
    return rows


def written(store: Store, folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `distillery score` writes for these articles."""
    model = loaded(store)
    (folder / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    student = open_bundle(store, FILTER.name, model.adapter)  # not what serves: that cuts its batches otherwise
    found = score(FILTER, student, folder / "articles.jsonl", folder / "scores", adapter=model.adapter, fmt="jsonl")
    lines = [line for name in found["parts"] for line in (folder / "scores" / name).read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def require_same(answers: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    for answer, row in zip(answers, rows, strict=True):
        assert answer["prefiltered"] == row["prefiltered"]
        if row["prefiltered"]:
            assert (answer["scores"], answer["overall"], answer["tier"], answer["reason"]) == (None, None, None, None)
            continue
        for name in FILTER.dimensions:
            assert answer["scores"][name] == pytest.approx(row[f"score.{name}"], abs=EQUAL)
        assert answer["overall"] == pytest.approx(row["overall"], abs=EQUAL)
        assert (answer["tier"], answer["reason"]) == (row["tier"], row["reason"])


def test_a_request_is_answered_with_what_the_batch_scorer_writes(store: Store, client: Client, tmp_path: Path) -> None:
    rows = made_rows(1, 60)
    answer = client.score(*rows)
    assert answer.status == 200
    assert answer.json["filter"] == "demo"
    assert answer.json["adapter"] == loaded(store).adapter
    expected = written(store, tmp_path, rows)
    assert {row["tier"] for row in expected} == {None, "low", "medium", "high"}
    assert any(row["reason"] for row in expected)
    require_same(answer.json["scores"], expected)


def test_an_article_is_scored_alone_as_among_others(store: Store, client: Client, tmp_path: Path) -> None:
    rows = made_rows(2, 12)
    expected = written(store, tmp_path, rows)
    for row, line in zip(rows, expected, strict=True):
        require_same(client.score(row, filter="demo").json["scores"], [line])


def test_a_text_alone_is_an_article(client: Client) -> None:
    text = "a village builds a cheap wind turbine"
    plain, whole = client.score(text).json["scores"], client.score({"content": text}).json["scores"]
    assert plain == whole
    assert len(plain[0]["id"]) == 16


def compositions(store: Store, folder: Path, seeds: range, budget: int) -> int:
    """Queue articles in requests of any sizes, in any order, with passes of any size; return how many were compared."""
    rows = made_rows(3, 80)
    expected = {row["id"]: row for row in written(store, folder, rows)}
    model, compared = loaded(store), 0
    for seed in seeds:
        drawn = random.Random(seed)
        held = model.__class__(**{**model.__dict__, "budget": drawn.choice([1, 40, 200, budget])})
        batcher, asked = Batcher(wait=drawn.choice([0.0, 0.001])), list[tuple[list[str], Future[Any]]]()
        try:
            for _ in range(drawn.randint(1, 12)):
                picked = drawn.sample(rows, drawn.randint(1, 20))
                asked.append(([row["id"] for row in picked], batcher.submit(held, [as_article(row) for row in picked])))
            for ids, future in asked:
                require_same(future.result(30), [expected[name] for name in ids])
                compared += len(ids)
        finally:
            batcher.close()
    return compared


def test_any_composition_of_batches_gives_the_same_scores(
    store: Store, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    record_property("counted", {"articles compared": compositions(store, tmp_path, range(4), 2048)})


@pytest.mark.slow
def test_many_compositions_of_batches_give_the_same_scores(
    store: Store, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    record_property("counted", {"articles compared": compositions(store, tmp_path, range(1000, 1100), 2048)})


def test_two_filters_are_told_apart(service: Service, client: Client) -> None:
    assert client.score("a text of some words", filter="other").status == 404
    assert client.score("a text of some words", filter="demo").status == 200


def test_what_is_loaded_to_serve_is_cut_for_few_articles(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = list[bool](), Student.predict_tokens

    def told(self: Student, *words: Any, tight: bool = False) -> Any:
        asked.append(tight)
        return real(self, *words, tight=tight)

    model = loaded(store)
    monkeypatch.setattr(Student, "predict_tokens", told)
    model.student.predict([("wind", "a farm")])
    assert asked == [True]
