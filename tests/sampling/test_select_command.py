"""`distillery select` by students of a store: where they disagree, from some sources, without what they know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.harness import filter_document, label_rows, run_here, write_rows


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """60 labels that two students of different seeds learned, among 200 articles of two sources."""
    folder = tmp_path_factory.mktemp("select")
    training = {"epochs": 1, "batchSize": 16, "learningRate": 0.01, "seed": 3, "precision": "fp32"}
    (folder / "filter.yaml").write_text(json.dumps(filter_document(tiny_encoder, training=training)), encoding="utf-8")
    labels = [row | {"source": ("rare", "common", "common")[at % 3]} for at, row in enumerate(label_rows(200))]
    write_rows(folder / "labels.jsonl", labels[:60])
    write_rows(folder / "articles.jsonl", [{key: row[key] for key in row if key != "scores"} for row in labels])
    return folder


def selected(folder: Path, *typed: str) -> Any:
    return run_here("select", "filter.yaml", "--articles", "articles.jsonl", "--n", "12", *typed, cwd=folder)


def test_students_are_asked_where_they_disagree_and_what_they_know_is_left_out(folder: Path) -> None:
    rules = ["--rule", "random=0.5", "--rule", "weak=0.5"]
    nobody = selected(folder, *rules)
    assert (nobody.code, "there are no students to disagree" in nobody.err) == (2, True), nobody.err
    unknown = selected(folder, "--exclude-trained")
    assert (unknown.code, "has no student in this store" in unknown.err) == (2, True), unknown.err

    adapters = []
    for seed in (3, 9):
        ran = run_here("train", "filter.yaml", "--labels", "labels.jsonl", "--set", f"training.seed={seed}", cwd=folder)
        assert ran.code == 0, ran.err
        adapters += [path.name for path in folder.glob(".distillery/adapters/*/*") if path.name not in adapters]
    alone = selected(folder, *rules, "--student", adapters[0])
    assert (alone.code, "there are no students to disagree" in alone.err) == (2, True), alone.err

    named = [word for adapter in adapters for word in ("--student", adapter)]
    done = selected(folder, *rules, *named, "--source", "rare", "--exclude-trained", "--out", "sample.jsonl", "--json")
    assert done.code == 0, done.err
    assert (done.json["drawn"], done.json["excluded"]) == ({"random": 6, "weak": 6}, 60)
    assert done.json["doubted_by"] == f"adapters {', '.join(adapter[:12] for adapter in adapters)} in benefit, evidence"
    drawn, known = rows_of(folder / "sample.jsonl"), {row["id"] for row in rows_of(folder / "labels.jsonl")}
    assert {row["source"] for row in drawn} == {"rare"}
    assert not known & {row["id"] for row in drawn}
    assert sum(row["drawn_by"] == "weak" for row in drawn) == 6
    all_of_them = selected(folder, "--rule", "random=1", "--source", "rare", "--n", "40", "--json")
    assert all_of_them.json["excluded"] == 0
