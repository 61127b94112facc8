"""Score curves: kept where it helps, left where it doesn't."""

from __future__ import annotations

from itertools import product

import numpy as np

from distillery.components.student.score_curves import _fit as curve
from distillery.components.student.score_curves import fit_score_curves


def test_a_squeezed_scale_is_stretched() -> None:
    generator = np.random.default_rng(0)
    labels = generator.uniform(0, 10, (400, 2))
    raw = 4 + 0.2 * labels + generator.normal(0, 0.05, labels.shape)
    found = fit_score_curves(raw, labels, seed=1)
    assert found.kept
    assert found.mae_corrected < 0.5 < found.mae_raw
    assert np.abs(found.apply(raw) - labels).mean() < 0.5
    outside = found.apply(np.array([[-100.0, 100.0]]))
    assert 0 <= outside[0, 0] < 1
    assert 9 < outside[0, 1] <= 10


def test_what_is_right_already_is_left_alone() -> None:
    labels = np.random.default_rng(0).uniform(0, 10, (200, 2))
    found = fit_score_curves(labels, labels, seed=1)
    assert not found.kept
    assert found.mae_raw == 0
    assert found.apply(np.array([[-1.0, 11.0]])).tolist() == [[0.0, 10.0]]


def test_too_few_articles_decide_nothing() -> None:
    labels = np.random.default_rng(0).uniform(0, 10, (20, 2))
    assert not fit_score_curves(labels * 0.1, labels, seed=1).kept


def test_a_dimension_of_one_value() -> None:
    generator = np.random.default_rng(0)
    labels = np.stack([np.full(100, 3.0), generator.uniform(0, 10, 100)], axis=1)
    raw = np.stack([generator.normal(5, 1, 100), 3 + 0.2 * labels[:, 1]], axis=1)
    found = fit_score_curves(raw, labels, seed=1)
    assert found.kept
    assert np.allclose(found.apply(raw)[:, 0], 3.0)


def test_a_curve_goes_through_medians_and_is_the_best_rising_one() -> None:
    raw = np.arange(6, dtype=np.float64)
    x, y = curve(raw, np.array([1.0, 0.0, 0.0, 5.0, 9.0, 4.0]))
    assert np.interp(raw, x, y).tolist() == [0, 0, 0, 5, 6.5, 6.5]
    labels = np.random.default_rng(3).integers(0, 4, 7).astype(float)
    found = np.abs(np.interp(np.arange(7.0), *curve(np.arange(7.0), labels)) - labels).sum()
    rising = (levels for levels in product(range(4), repeat=7) if list(levels) == sorted(levels))
    assert found == min(np.abs(np.array(levels) - labels).sum() for levels in rising)


def test_equal_raw_scores_get_one_value() -> None:
    x, y = curve(np.array([2.0, 1.0, 2.0, 2.0]), np.array([3.0, 1.0, 9.0, 4.0]))
    assert (x, y) == ([1.0, 2.0], [1.0, 4.0])
