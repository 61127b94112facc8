"""Passes for few articles cost least; whichever way articles are cut, each is scored once, with the scores it has alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.student.predict import SHARES, tight_passes
from distillery.components.student.tokens import Tokenizing, by_length


def cost(lengths: np.ndarray[Any, Any], passes: list[np.ndarray[Any, Any]], budget: int) -> float:
    return sum(int(lengths[rows].max()) * len(rows) + budget / SHARES for rows in passes)


def every_cut(lengths: np.ndarray[Any, Any], budget: int) -> Iterator[list[np.ndarray[Any, Any]]]:
    """All ways to cut articles, sorted by length, into passes within the budget."""
    order = np.argsort(-lengths, kind="stable")
    for number in range(len(order)):
        for inner in combinations(range(1, len(order)), number):
            passes = np.split(order, inner)
            if all(len(rows) == 1 or lengths[rows].max() * len(rows) <= budget for rows in passes):
                yield passes


@pytest.mark.parametrize("seed", range(20))
def test_no_way_to_cut_costs_less(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    lengths, budget = drawn.integers(1, 60, 9), int(drawn.integers(40, 300))
    best = min(cost(lengths, passes, budget) for passes in every_cut(lengths, budget))
    assert cost(lengths, list(tight_passes(lengths, budget)), budget) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(20))
def test_each_article_is_in_one_pass_and_no_pass_beyond_the_budget(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    lengths = drawn.integers(1, 700, int(drawn.integers(1, 200)))
    passes = list(tight_passes(lengths, 512))
    assert sorted(np.concatenate(passes).tolist()) == list(range(len(lengths)))
    assert all(len(rows) == 1 or lengths[rows].max() * len(rows) <= 512 for rows in passes)
    assert cost(lengths, passes, 512) <= cost(lengths, list(by_length(lengths, 512)), 512)


def test_no_articles_are_no_pass() -> None:
    assert list(tight_passes(np.empty(0, np.int64), 512)) == []


def test_sixty_articles_of_common_lengths_have_little_padding() -> None:
    lengths = np.random.default_rng(3).integers(40, 257, 60)
    padding = [
        1 - lengths.sum() / sum(int(lengths[rows].max()) * len(rows) for rows in cut(lengths, 2048))
        for cut in (by_length, tight_passes)
    ]
    assert padding[1] < 0.035 < 0.07 < padding[0]


@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_decoder"])
def test_scores_are_the_same_however_articles_are_cut(
    kind: str, make_student: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    student = make_student(request.getfixturevalue(kind))
    texts = [("wind", "solar farm " * n) for n in (1, 9, 3, 22, 2, 14)]
    tokens = Tokenizing(student.base, student.preprocessing)(texts)
    student.forward.budget = 64
    np.testing.assert_allclose(student.predict_tokens(tokens, tight=True), student.predict_tokens(tokens), atol=1e-4)
