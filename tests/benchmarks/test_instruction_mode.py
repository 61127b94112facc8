"""The comparison of modes gives both the same article tokens, and a difference that is paired over articles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from distillery.components.store import open_store
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from tests.benchmarks import instruction_mode
from tests.benchmarks.instruction_mode import ARTICLE, PROBE, RUBRIC, Told, instruction_tokens, rubric, sampled, table
from tests.pipelines.harness import label_rows, write_rows
from tests.training.conftest import filter_of


def test_an_article_gets_as_many_tokens_in_both_modes(tiny_encoder: Path, tmp_path: Path) -> None:
    text, flt = rubric(["a"]), filter_of(tiny_encoder)
    tokens, around = instruction_tokens(flt, text, open_store(str(tmp_path)))
    base = resolve_base(str(tiny_encoder))
    assert 0 < tokens <= RUBRIC
    rooms = [
        Tokenizing(base, Preprocessing(60 + around + more, None, instruction)).room
        for instruction, more in (("", 0), (text, tokens))
    ]
    assert rooms == [60, 60]
    assert ARTICLE + around + RUBRIC <= 512  # what MiniLM reads
    assert PROBE >= 2 * RUBRIC


def test_the_sample_is_the_same_for_the_same_labels_in_any_order(tmp_path: Path) -> None:
    rows = [json.dumps({"content": f"text {n}", "scores": {}}) + "\n" for n in range(30)]
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("".join(rows))
    other.write_text("".join(reversed(rows)))
    found = [sampled(path, 10, path.with_suffix(".sample")).read_text() for path in (one, other)]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 10


def test_the_difference_is_of_means_over_seeds_and_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 3, 400)  # articles differ by far more than modes do
    plain = np.array([hard + rng.normal(0, 0.01, 400) for _ in range(3)])
    found = {"regression": Told(0, [0.6, 0.62, 0.61], plain, "ab"), "instruction": Told(90, [0.5, 0.5, 0.5], plain - 0.1, "ab")}
    one, other = table("base", found)
    assert one.endswith("| – |")
    assert "| base | instruction | 90 | 300 | 0.500 ± 0.000 |" in other
    assert "-0.100 (-0.100 to -0.100)" in other


def test_the_whole_comparison_prints_a_row_for_each_mode(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(tmp_path / "labels.jsonl", label_rows(60))
    changed = ["--set", "training.tokensPerBatch=128"]
    typed = ["--store", str(tmp_path / "store"), "--base", str(tiny_encoder), "--base", "no/such-base", "--seeds", "1"]
    assert instruction_mode.main([str(tmp_path / "labels.jsonl"), *typed, "--epochs", "1", "--articles", "50", *changed]) == 0
    shown = capsys.readouterr()
    rows = [line.split(" | ") for line in shown.out.splitlines() if line.startswith(f"| {tiny_encoder}")]
    assert [row[1] for row in rows] == ["regression", "instruction"]
    assert "no/such-base is left out" in shown.err
    students = [json.loads(path.read_bytes()) for path in (tmp_path / "store").rglob("student.json")]
    assert [student["training"]["tokensPerBatch"] for student in students] == [128, 128]
