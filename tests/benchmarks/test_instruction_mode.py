"""The comparison of modes gives both the same article tokens, and a difference that is paired over articles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from distillery.components.store import open_store
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import Preprocessing, Tokenizing
from tests.benchmarks.instruction_mode import ARTICLE, PROBE, RUBRIC, Told, instruction_tokens, rubric, sampled, table
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
