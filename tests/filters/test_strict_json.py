"""JSON from outside: a key stated twice is a fault in every kind of document, and a byte order mark is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.formats import json_row
from distillery.components.articles.readers import read_rows
from distillery.components.calibration.marks import Marks, read_marks
from distillery.components.labeling.oracles.prices import read_prices
from distillery.components.labeling.oracles.replay import _read as read_replies
from distillery.components.preflight.request import RunRequest
from distillery.components.runtime.step import step_context, store_of_step
from distillery.components.store import StoreError, parse_json
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads, once

BOM = "\ufeff"
ROW = {"id": "a1", "title": "T", "content": "Body 1", "scores": {"substance": 5, "effect": 2}}
DIMENSIONS = ["substance", "effect"]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": 1, "a": 1}', '[{"b": {"a": 1, "\\u0061": 2}}]'])
def test_a_key_stated_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key 'a' twice"):
        loads(text)
    with pytest.raises(StoreError, match="key 'a' twice"):
        parse_json(text.encode(), "a document")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert loads(f'{BOM}{{"a": 1}}'.encode()) == parse_json(f'{BOM}{{"a": 1}}'.encode(), "x") == {"a": 1}


def test_constants_are_refused_where_json_has_none() -> None:
    assert str(loads("NaN")) == "nan"
    with pytest.raises(ValueError, match="NaN is not JSON"):
        loads("NaN", constants=False)


def test_pairs_become_a_map() -> None:
    assert once([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}


def labels(path: Path) -> tuple[int, list[str]]:
    rejects = Rejects()
    good = len(list(read_labels(path, DIMENSIONS, rejects=rejects, max_rejects="10")))
    return good, [reason for _, _, reason in rejects.first]


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"a2","id":"b2","title":"T","content":"Body 2","scores":{"substance":5,"effect":2}}',
        '{"id":"a2","title":"T","content":"Body 2","scores":{"substance":5,"substance":9,"effect":2}}',
        '{"id":"a2","title":"T","content":"Body 2","content":"Body 3","scores":{"substance":5,"effect":2}}',
        '{"id":"a2","content":"B","scores":{"substance":5,"effect":2},"reference":{"effect":1,"effect":2}}',
        '{"id":"a2","content":"B","scores":{"substance":5,"effect":2},"score.effect":7}',
    ],
)
def test_a_row_that_states_something_twice_is_a_bad_row(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{line}\n", encoding="utf-8")
    good, [reason] = labels(path)
    assert good == 1
    assert "twice" in reason


def test_scores_stated_in_both_forms_alike_are_stated_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({**ROW, "score.effect": 2, "score.substance": None}), encoding="utf-8")
    assert labels(path) == (1, [])


def test_a_key_twice_in_a_parquet_map_is_a_bad_row(tmp_path: Path) -> None:
    scores = [[("substance", 5.0), ("effect", 2.0)], [("substance", 5.0), ("effect", 2.0), ("substance", 9.0)]]
    kind = pa.map_(pa.string(), pa.float64())
    table = pa.table({"id": ["a1", "a2"], "content": ["Body 1", "Body 2"], "scores": pa.array(scores, kind)})
    pq.write_table(table, tmp_path / "labels.parquet")
    good, [reason] = labels(tmp_path / "labels.parquet")
    assert good == 1
    assert "'substance' twice" in reason


def test_byte_order_marks_in_the_middle_of_a_file_are_no_part_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{BOM}{json.dumps({'id': n, 'content': 'x'})}\n" for n in range(3)) + f"{BOM}\n", encoding="utf-8")
    assert [row.value and row.value["id"] for row in read_rows(path, frozenset())] == [0, 1, 2]
    assert json_row(1, f"{BOM}{{}}".encode()).value == {}


def test_marks(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text(f'{BOM}{{"a0": "on", "a1": "off"}}', encoding="utf-8")
    assert read_marks(str(path)).given == {"a0": "on", "a1": "off"}
    path.write_text('{"a0": "on", "a0": "off"}', encoding="utf-8")
    with pytest.raises(InputError, match="key 'a0' twice"):
        read_marks(str(path))


def test_an_article_that_is_marked_by_id_and_by_digest_differently_is_refused() -> None:
    from distillery.components.articles.articles import Article

    article = Article("a0", "t", "c")
    assert Marks("person", {article.digest: "on", "a0": "on"})._of(article) == "on"
    with pytest.raises(InputError, match="twice, off by its id and on by its digest"):
        Marks("person", {article.digest: "on", "a0": "off"})._of(article)


def test_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("date: 2026-01-02\nmodels:\n  m: {input: 1, output: 2}\n", encoding="utf-8")
    price, date = read_prices(str(path)).of("m") or (None, "")
    assert price is not None
    assert (price.input, date) == (1.0, "2026-01-02")
    path.write_text("models:\n  m: {input: 1, output: 2}\n  m: {input: 3, output: 4}\n", encoding="utf-8")
    with pytest.raises(InputError, match="key 'm' twice"):
        read_prices(str(path))


def replies(tmp_path: Path, *rows: str) -> dict[str, list[str]]:
    path = tmp_path / "replies.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    return read_replies(path)


def test_recorded_replies(tmp_path: Path) -> None:
    assert replies(tmp_path, '{"id": "a", "reply": "x", "repeat": null, "attempt": null}') == {"id a": ["x"]}
    with pytest.raises(InputError, match="key 'reply' twice"):
        replies(tmp_path, '{"id": "a", "reply": "x", "reply": "y"}')
    for repeat in ('"1"', "0", "true", "1.0"):
        with pytest.raises(InputError, match="is not a number from 1 on"):
            replies(tmp_path, f'{{"id": "a", "reply": "x", "repeat": {repeat}}}')


@pytest.mark.parametrize("null", [None, "null"])
def test_null_as_a_pipeline_parameter_is_an_empty_one(null: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTILLERY_PARAMETERS", raising=False)
    empty = RunRequest("").to_arguments()
    with step_context("preflight", str(tmp_path / "store"), "", "run") as step:
        assert step.parameters(**dict.fromkeys(empty, null)) == empty
        assert step.parameters(filter="f", gpus=2, overrides=["a=null"]) == {"filter": "f", "gpus": 2, "overrides": ["a=null"]}
    monkeypatch.setenv("DISTILLERY_STORE", str(tmp_path / "store"))
    assert store_of_step(null).uri == store_of_step("").uri
