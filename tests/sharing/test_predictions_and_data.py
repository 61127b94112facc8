"""`predictions` and `data` write what the store has, in forms that other programs read, and texts only where asked."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.adapter import find_run
from distillery.components.artifacts.benchmark import read_benchmark
from distillery.components.artifacts.split import load_split
from distillery.components.store import open_store
from distillery.filters.document import read_document
from tests.pipelines.harness import run_here
from tests.sharing.conftest import Distillery

DIMENSIONS = ["reach", "proof", "thrift"]


def lines(path: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_predictions_are_those_that_the_benchmark_judged(distillery: Distillery, home: Path, tmp_path: Path) -> None:
    ran = distillery("predictions", "filter.yaml", "--out", tmp_path / "p.jsonl", "--json")
    assert ran.code == 0, ran.err
    rows = lines(tmp_path / "p.jsonl")
    store = open_store(str(home / ".distillery"))
    outputs = find_run(store, ran.json["adapter"]).outputs
    judged = read_benchmark(store, outputs["adapter"], outputs["test"], outputs["benchmark"])
    errors = np.array([[abs(row["prediction"][name] - row["scores"][name]) for name in DIMENSIONS] for row in rows])
    overall = [abs(row["overall"]["prediction"] - row["overall"]["label"]) for row in rows]
    assert len(rows) == judged.n == ran.json["n"]
    assert errors.mean() == pytest.approx(judged.mae, abs=1e-8)
    assert np.mean(overall) == pytest.approx(judged.overall_mae, abs=1e-8)
    tiers = [row["tier"] for row in rows]
    same = np.mean([tier["label"] == tier["prediction"] for tier in tiers])
    assert same == pytest.approx(judged.tier_agreement, abs=1e-8)
    assert {"title", "content"} & rows[0].keys() == set()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_hold_what_json_lines_hold(suffix: str, distillery: Distillery, tmp_path: Path) -> None:
    for name in ("p.jsonl", f"p.{suffix}"):
        assert distillery("predictions", "filter.yaml", "--text", "--out", tmp_path / name).code == 0
    wanted = lines(tmp_path / "p.jsonl")
    if suffix == "csv":
        with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
    else:
        rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["content"] for row in rows] == [row["content"] for row in wanted]
    assert [float(row["prediction.reach"]) for row in rows] == [row["prediction"]["reach"] for row in wanted]
    assert [row["tier.label"] for row in rows] == [row["tier"]["label"] for row in wanted]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_part_with_its_texts_is_read_back_as_the_labels_that_it_was(
    suffix: str, distillery: Distillery, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"test.{suffix}"
    assert distillery("data", "filter.yaml", "--split", "test", "--text", "--out", out).code == 0
    imported = run_here("labels", "import", home / "filter.yaml", out, "--store", tmp_path / "store", "--json", cwd=tmp_path)
    assert imported.code == 0, imported.err
    store = open_store(str(home / ".distillery"))
    split = load_split(store, find_run(store, str(home / "filter.yaml")).outputs["split"])
    table = pq.read_table(tmp_path / "store" / "labelsets" / imported.json["label"]["label_set"] / "labels.parquet")
    order = [table["article"].to_pylist().index(article) for article in split.test["article"].to_pylist()]
    assert table.num_rows == split.test.num_rows
    assert (scores(table, DIMENSIONS)[order] == scores(split.test, DIMENSIONS)).all()


def test_a_folder_has_all_parts_and_a_card_that_names_them(distillery: Distillery, tmp_path: Path) -> None:
    ran = distillery("data", "filter.yaml", "--out", tmp_path / "set", "--json")
    assert ran.code == 0, ran.err
    card = (tmp_path / "set" / "README.md").read_text("utf-8")
    head = read_document(card.split("---\n")[1], "README.md").value
    files = {each["split"]: each["path"] for each in head["configs"][0]["data_files"]}
    assert list(files) == ["train", "validation", "test"]
    assert {part: pq.read_table(tmp_path / "set" / path).num_rows for part, path in files.items()} == ran.json["articles"]
    assert "title" not in pq.read_table(tmp_path / "set" / files["test"]).column_names
    assert head["language"] == ["en"]
    assert "TODO" not in card
    assert "More Information" not in card


def test_the_same_again_changes_nothing_and_another_content_is_kept(distillery: Distillery, tmp_path: Path) -> None:
    file, folder = tmp_path / "t.csv", tmp_path / "set"
    for _ in range(2):
        assert distillery("data", "filter.yaml", "--split", "test", "--out", file).code == 0
        assert distillery("data", "filter.yaml", "--out", folder).code == 0
    before = file.read_bytes()
    for words in (["--split", "train", "--out", file], ["--split", "train", "--out", folder]):
        ran = distillery("data", "filter.yaml", *words)
        assert ran.code == 2
        assert "is there already, with another content; name another place, or give --replace" in ran.err
        assert distillery("data", "filter.yaml", *words, "--replace").code == 0
    assert file.read_bytes() != before
    assert [path.name for path in (folder / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "t.csv"]


def test_a_folder_with_something_of_a_persons_is_never_replaced(distillery: Distillery, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    ran = distillery("data", "filter.yaml", "--out", folder, "--replace")
    assert ran.code == 2
    assert "holds 'thesis.tex', which is none of ours" in ran.err
    assert (folder / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "filter.yaml", "--out", "x.jsonl"], "no part is named"),
        (["data", "filter.yaml", "--out", "x.xml", "--split", "test"], "a table has no form .xml; name it .jsonl, .csv"),
        (["data", "filter.yaml", "--out", "s3://bucket/x.csv", "--split", "test"], "is no place on this machine"),
        (["data", "filter.yaml", "--out", "", "--split", "test"], "--out: is empty"),
        (["predictions", "filter.yaml", "--out", "folder"], "names no form; name a file .jsonl"),
        (["predictions", "00000000", "--out", "x.csv"], "no adapter in this store begins with 00000000"),
        (["predictions", "uplifting", "--out", "x.csv"], "no run of uplifting in this store"),
        (["predictions", "4bbd883ec4ec", "--channel", "a", "--out", "x.csv"], "an adapter is named already"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, distillery: Distillery, home: Path) -> None:
    before = sorted(home.iterdir())
    ran = distillery(*words)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert said in ran.errors[0]
    assert sorted(home.iterdir()) == before


def test_a_run_that_came_to_no_predictions_says_so(distillery: Distillery, home: Path, tmp_path: Path) -> None:
    from distillery.components.artifacts.run_summary import RunSummary
    from distillery.components.sharing.records import predictions_table
    from distillery.filters.errors import InputError

    store = open_store(str(home / ".distillery"))
    summary = find_run(store, str(home / "filter.yaml"))
    stopped = RunSummary(run="stopped", steps=[each for each in summary.steps if each.step != "benchmark"])
    with pytest.raises(InputError, match="run stopped: came to no predictions"):
        predictions_table(store, None, stopped)  # type: ignore[arg-type]
