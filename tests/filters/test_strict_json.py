"""JSON from outside: a key stated twice is a fault in every kind of document, and a byte order mark is none."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.formats import json_row
from distillery.components.articles.readers import read_rows
from distillery.components.calibration.marks import read_marks
from distillery.components.calibration.marks_file import MarksFile
from distillery.components.labeling.journal import Answer, Journal
from distillery.components.labeling.oracles.prices import read_prices
from distillery.components.labeling.oracles.replay import _read as read_replies
from distillery.components.labeling.run_lock import RunLock
from distillery.components.preflight.cluster import cluster
from distillery.components.preflight.request import RunRequest
from distillery.components.remote.kubernetes import reason
from distillery.components.runtime.settings import read_object
from distillery.components.runtime.step import step_context, store_of_step
from distillery.components.scoring.job_manifest import find_place
from distillery.components.splitting.frozen import read_frozen
from distillery.components.store import Digest, StoreError, digest_json, open_store, parse_json
from distillery.components.store.layout import frozen_key, journal_segment_key, run_lock_key
from distillery.components.student.base import open_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from distillery.filters.errors import InputError
from distillery.filters.loading import load_filter
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
    assert read_marks([str(path)]).given == {"a0": "on", "a1": "off"}
    path.write_text('{"a0": "on", "a0": "off"}', encoding="utf-8")
    with pytest.raises(InputError, match="key 'a0' twice"):
        read_marks([str(path)])


def test_an_article_that_is_marked_by_id_and_by_digest_differently_is_refused() -> None:
    from distillery.components.articles.articles import Article

    article = Article("a0", "t", "c")
    assert MarksFile("m.json", "", {article.digest: "on", "a0": "on"}).mark(article) == "on"
    with pytest.raises(InputError, match="off by its id, but on by its digest"):
        MarksFile("m.json", "", {article.digest: "on", "a0": "off"}).mark(article)


def test_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("date: 2026-01-02\nmodels:\n  m: {input: 1, output: 2}\n", encoding="utf-8")
    price, date = read_prices(str(path)).of("m") or (None, "")
    assert price is not None
    assert (price.input, date) == (1.0, "2026-01-02")
    path.write_text("models:\n  m: {input: 1, output: 2}\n  m: {input: 3, output: 4}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r'prices\.yaml:3: key "m" twice'):
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


@pytest.mark.parametrize("null", [None, "null"])
def test_score_takes_null_for_empty_too(null: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTILLERY_PARAMETERS", raising=False)
    with step_context("score", str(tmp_path / "store"), "", "run") as step:
        given = step.parameters(channel=None, shards="null", parallelism=None, out="null", columns=null)
    assert given == {"channel": "production", "shards": 0, "parallelism": 0, "out": "", "columns": []}


OTHER_READERS = {("json", "loads"), ("json", "load"), ("yaml", "load"), ("yaml", "safe_load"), ("yaml", "full_load")}
ALLOWED = {"filters/strict_json.py"}  # the one reader itself


def test_no_other_reader_of_json_or_yaml_is_used_in_the_product() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("components", "filters", "pipelines", "distillery") for path in (root / room).rglob("*.py")]
    assert len(files) > 150
    found = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = {(node.value.id, node.attr)}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "", name.name) for name in node.names}
            else:
                continue
            if names & OTHER_READERS:
                found.add(path.relative_to(root).as_posix())
    assert found == ALLOWED


def test_a_row_of_a_list_that_states_something_twice_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(f'[{json.dumps(ROW)}, {{"id": "a2", "id": "a3", "content": "x"}}, 7]', encoding="utf-8")
    good, reasons = labels(path)
    assert good == 1
    assert [("'id' twice" in reason, "not a JSON object" in reason) for reason in reasons] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("document", "fault"),
    [(b'{"open": 1, "open": 2}', "twice"), (b"[" * 60_000, "deep"), (b'{"lost": 3}', "another form")],
)
def test_a_lock_that_cannot_be_read_counts_for_nothing(tmp_path: Path, document: bytes, fault: str) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put(run_lock_key("labels/x"), document)
    assert RunLock(store, "labels/x")._read()[0].open == 0, fault


def test_a_line_of_the_journal_that_states_a_score_twice_is_a_damaged_one(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    wanted = {"rubric": Digest("1" * 64), "oracle": Digest("2" * 64), "dimensions": DIMENSIONS}
    journal = Journal(store, "f", **wanted)
    journal.append([Answer(Digest("3" * 64), (5.0, 2.0)), Answer(Digest("4" * 64), (1.0, 1.0))])
    key = journal_segment_key(journal.prefix, 0)
    store.put(key, store.get(key).replace(b'"effect":2.0', b'"effect":9.0,"effect":2.0'))
    again = Journal(store, "f", **wanted)
    assert (again.count(), again.damaged) == (1, 1)


@pytest.mark.parametrize("setting", ["DISTILLERY_TORCH_RESOURCES", "DISTILLERY_TORCH_NODES", "DISTILLERY_SCORING_RESOURCES"])
@pytest.mark.parametrize("value", ['{"requests": {}, "requests": {}}', '{"a": ', "[]", "[" * 100_000])
def test_settings(setting: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(InputError, match=r"is not (JSON|a JSON object)") as error:
        read_object(setting)
    assert error.value.where == setting
    with pytest.raises(InputError):
        find_place() if "SCORING" in setting else cluster(trainer="pod", gpus=0)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_files_of_a_base_model(tiny_encoder: Path, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_encoder, folder)
    text = (folder / file).read_text(encoding="utf-8").lstrip()
    key = next(iter(json.loads(text)))
    (folder / file).write_text(f'{{"{key}": null, {text[1:]}', encoding="utf-8")
    with pytest.raises(InputError, match=f"key '{key}' twice"):
        Tokenizing(open_base(folder, "tiny", None), Preprocessing(32, None))


def test_frozen_test_parts(tmp_path: Path) -> None:
    store, flt = open_store(str(tmp_path / "store")), load_filter("uplifting")
    store.put(frozen_key(flt.name, digest_json(flt.spec.split.model_dump())), b'{"lineages": [], "lineages": []}')
    with pytest.raises(StoreError, match="twice"):
        read_frozen(store, flt)


def test_words_of_an_api() -> None:
    for body in ('{"message": "a", "message": "b"}', "[" * 100_000, "[]", "", None, "7"):
        assert reason(SimpleNamespace(body=body, status=409, reason="Conflict")) == "409 Conflict"
