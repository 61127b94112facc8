"""`distillery learning-curve` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.harness import filter_document, label_rows, run_here, write_rows


@pytest.fixture
def folder(tmp_path: Path, tiny_encoder: Path) -> Path:
    (tmp_path / "filter.yaml").write_text(json.dumps(filter_document(tiny_encoder)), encoding="utf-8")
    write_rows(tmp_path / "labels.jsonl", label_rows(60))
    return tmp_path


def test_bad_options_are_one_line_and_train_nothing(folder: Path) -> None:
    for options, says in (
        (["--times", "1"], "1 times the labels are not more"),
        (["--fraction", "0.5"], "two sizes tell no curve"),
        (["--label-usd", "inf"], "inf is no price"),
        (["--out", "curve.png"], "a page has no form .png"),
    ):
        ran = run_here("learning-curve", "filter.yaml", "--labels", "labels.jsonl", *options, cwd=folder)
        assert (ran.code, says in ran.err) == (2, True), ran.err
    assert not list(folder.glob(".distillery/adapters/*"))


@pytest.mark.slow
def test_the_curve_is_printed_and_a_second_time_nothing_is_trained(folder: Path) -> None:
    typed = ["learning-curve", "filter.yaml", "--labels", "labels.jsonl", "--fraction", "0.5", "--fraction", "0.75"]
    ran = run_here(*typed, "--label-usd", "0.01", cwd=folder)
    assert ran.code == 0, ran.err
    assert "more labels, for about $0.60." in ran.out
    assert "All dimensions" in ran.out
    adapters = {path.name for path in folder.glob(".distillery/adapters/*/*")}
    again = run_here(*typed, "--json", cwd=folder)
    assert [point["labels"] for point in again.json["points"]] == sorted(point["labels"] for point in again.json["points"])
    assert (again.json["more"], again.json["usd"]) == (60, None)
    assert {path.name for path in folder.glob(".distillery/adapters/*/*")} == adapters
    page = run_here(*typed, "--out", "curve.html", cwd=folder)
    assert (page.code, page.out.strip()) == (0, "curve.html"), page.err
    assert "<svg" in (folder / "curve.html").read_text(encoding="utf-8")
    assert "| All dimensions |" in run_here(*typed, "--md", cwd=folder).out
