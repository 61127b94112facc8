"""Means of students: independent errors shrink as their theory says, equal ones stay, and a poor member loses."""

from __future__ import annotations

import numpy as np
import pytest

from distillery.components.choosing.ensembles import ensembles
from distillery.components.choosing.rule import Recipe

N, DIMS, SEED = 2_000, 6, "5eed"
RNG = np.random.default_rng(3)
LABELS = RNG.uniform(3, 7, (N, DIMS))
NOISE = [RNG.normal(0, 1, (N, DIMS)) for _ in range(3)]


def recipe(*names: str, work: float = 2.0) -> Recipe:
    return Recipe(list(names), 0.0, None, work, 100.0)


def test_two_seeds_with_errors_of_their_own_have_an_error_smaller_by_the_root_of_two():
    predictions = {name: LABELS + noise for name, noise in zip("ab", NOISE, strict=False)}
    (mean,) = ensembles([recipe("a", "b")], predictions, LABELS, best="a", seed=SEED)
    single = np.abs(NOISE[0]).mean()
    assert mean.mae == pytest.approx(single / np.sqrt(2), rel=0.03)
    assert mean.difference == pytest.approx(mean.mae - single)
    assert mean.difference_interval[1] < 0  # it wins, and not by luck
    assert mean.work == 4.0
    assert mean.candidates == ["a", "b"]


def test_students_that_err_alike_gain_nothing():
    predictions = dict.fromkeys("ab", LABELS + NOISE[0])
    (mean,) = ensembles([recipe("a", "b")], predictions, LABELS, best="a", seed=SEED)
    assert mean.difference == pytest.approx(0, abs=1e-12)
    assert mean.difference_interval == pytest.approx((0, 0), abs=1e-12)


def test_a_mean_with_a_far_worse_student_loses():
    predictions = {"a": LABELS + NOISE[0], "poor": LABELS + 6 * NOISE[1]}
    (mean,) = ensembles([recipe("a"), recipe("poor", work=3.0)], predictions, LABELS, best="a", seed=SEED)
    assert mean.difference_interval[0] > 0
    assert mean.work == 5.0


def test_seeds_of_each_recipe_and_the_best_of_two_recipes_are_averaged_the_best_first():
    predictions = {"a": LABELS + NOISE[0], "a2": LABELS + NOISE[1], "b": LABELS + 2 * NOISE[2], "c": LABELS}
    recipes = [recipe("a", "a2"), recipe("b"), recipe("c")]
    found = ensembles(recipes, predictions, LABELS, best="a", seed=SEED)
    assert [each.candidates for each in found] == [["a", "a2"], ["a", "b"]]
    assert found[0].mae < found[1].mae
    assert ensembles([recipe("a")], predictions, LABELS, best="a", seed=SEED) == []
