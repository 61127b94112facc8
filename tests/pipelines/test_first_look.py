"""`plan` and `distill` refuse at once, in one line and with nothing written, a file that the first step would refuse."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.pipelines.first_look import look
from tests.pipelines.harness import filter_document, label_rows, write_rows
from tests.pipelines.test_bad_input import Command, command, make_filter, one_line, written

__all__ = ["command"]

Rows = list[dict[str, Any]]


def lacks_dimension(rows: Rows) -> Rows:
    return [{**row, "scores": {"benefit": row["scores"]["benefit"]}} for row in rows]


def of_a_hundred(rows: Rows) -> Rows:
    return [{**row, "scores": {name: 10 * score + 11 for name, score in row["scores"].items()}} for row in rows]


def one_bad_row(rows: Rows) -> Rows:
    return [*rows[:7], {"id": "x", "scores": {}}, *rows[8:]]


def no_rows(rows: Rows) -> Rows:
    return [{"name": "no article"} for _ in rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [(lacks_dimension, "evidence"), (of_a_hundred, "0"), (one_bad_row, "labels.jsonl:8"), (no_rows, "120 of 120 rows are bad")],
)
def test_labels_that_cannot_be_used(change: Callable[[Rows], Rows], says: str, command: Command, tmp_path: Path) -> None:
    labels, flt = write_rows(tmp_path / "labels.jsonl", change(label_rows(120))), make_filter(tmp_path / "filter.yaml")
    for name, address in itertools.product(("plan", "distill"), (labels, labels.as_uri())):
        refused = command(name, flt, "--labels", address)
        assert says in one_line(refused)
        assert refused.err.count("\n") == 1, refused.err
        assert refused.out == ""
    assert written(tmp_path) == []


@pytest.mark.parametrize("data", [b"id,name,price\n1,a,3\n", b"PK\x03\x04 a workbook", b"[]", b""])
@pytest.mark.parametrize("option", ["--labels", "--articles"])
def test_a_form_that_is_not_read(data: bytes, option: str, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    replies = write_rows(tmp_path / "replies.jsonl", [{"id": "1", "reply": "x"}])
    flt = make_filter(tmp_path / "filter.yaml", lambda spec: spec["oracle"].update(replies=str(replies)))
    for name in ("plan", "distill"):
        assert str(path) in one_line(command(name, flt, option, path))
    assert written(tmp_path) == []


def test_rows_that_may_be_left_out_are_no_fault(tmp_path: Path) -> None:
    flt = Filter.model_validate(filter_document(tmp_path))
    path = write_rows(tmp_path / "labels.jsonl", one_bad_row(label_rows(120)))
    look(flt, path, labels=True, max_rejects="1")
    look(flt, path, labels=True, max_rejects="1%")
    with pytest.raises(InputError, match="1 of 120 rows are bad"):
        look(flt, path, labels=True)


def test_a_long_file_is_read_for_its_time_only(tmp_path: Path) -> None:
    """What it found until then counts: bad rows beyond the bound, or nothing but bad rows."""
    flt = Filter.model_validate(filter_document(tmp_path))
    rows = label_rows(40)
    late = write_rows(tmp_path / "late.jsonl", [*rows, {"id": "x"}])
    look(flt, late, labels=True, seconds=-1)
    bad = write_rows(tmp_path / "bad.jsonl", [{"id": "x"}, *rows])
    for most in ("0", "50%"):
        with pytest.raises(InputError, match="1 of the first 1 rows are bad"):
            look(flt, bad, labels=True, max_rejects=most, seconds=-1)
    look(flt, bad, labels=True, max_rejects="1", seconds=-1)
    look(flt, bad, labels=False, seconds=-1)


def test_a_budget_without_a_price_and_a_bad_setting_are_refused_by_plan(command: Command, tmp_path: Path) -> None:
    oracle = {"provider": "openai", "model": "unheard-of", "baseUrl": "http://127.0.0.1:9/v1"}
    flt = make_filter(tmp_path / "filter.yaml", lambda spec: spec.update(oracle=oracle))
    articles = write_rows(tmp_path / "articles.jsonl", label_rows(40))
    assert "price" in one_line(command("plan", flt, "--articles", articles, "--budget", "3"))
    assert "marks" in one_line(command("plan", flt, "--articles", articles, "--marks", "nobody.json"))
    assert "many" in one_line(command("plan", flt, "--labels", articles, "--max-rejects", "many"))
    assert json.loads(flt.read_text())["spec"]["oracle"] == oracle
