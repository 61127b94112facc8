"""The figures of drift beside other implementations, and how often they raise a false alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from distillery.components.artifacts.drift import Sample
from distillery.components.artifacts.histograms import BINS, Histograms, binned
from distillery.components.drift.compare import compare
from distillery.components.drift.statistics import (
    ALPHA,
    GROUPS,
    LARGE,
    MIN_ARTICLES,
    adjusted,
    grouped,
    merged,
    shift,
    stability_index,
)
from tests.drift.made import Floats, drawn


def sample(scores: Floats) -> Sample:
    overall = scores.mean(axis=1)
    high = int((overall >= 6).sum())
    spread = Histograms(
        scored=len(scores),
        dimensions={"readiness": binned(scores[:, 0]), "benefit": binned(scores[:, 1])},
        overall=binned(overall),
        sources={"a": len(scores)},
        languages={},
    )
    return Sample(spread=spread, tiers={"high": high, "low": len(scores) - high})


def test_the_index_is_that_of_the_shares_by_hand() -> None:
    reference, now = [9, 19, 29], [39, 9, 9]
    a, b = np.array(reference) + 0.5, np.array(now) + 0.5
    a, b = a / a.sum(), b / b.sum()
    assert stability_index(reference, now) == pytest.approx(stats.entropy(a, b) + stats.entropy(b, a))
    assert stability_index(reference, reference) == 0
    assert stability_index([0, 10], [10, 0]) < math.inf


@pytest.mark.parametrize("seed", range(20))
def test_index_and_test_are_those_of_the_raw_scores_in_the_same_bins(seed: int) -> None:
    """A second implementation that never sees our bins: edges from the groups, counts by numpy, chi-square by its formula."""
    reference, now = drawn(seed, 300)[:, 0], drawn(seed + 1000, 5000, shifted=seed / 20)[:, 1]
    groups = merged(binned(reference), binned(now))
    edges = [group.start / 4 for group in groups] + [10.0]
    a, b = (np.histogram(values, edges)[0] for values in (reference, now))
    assert grouped(binned(reference), groups) == a.tolist()
    found = shift(binned(reference), binned(now))
    expected = np.outer([a.sum(), b.sum()], a + b) / (a.sum() + b.sum())
    statistic = (((np.stack([a, b]) - expected) ** 2) / expected).sum()
    assert found.p == pytest.approx(stats.chi2.sf(statistic, len(groups) - 1))
    p, q = (a + 0.5) / (a + 0.5).sum(), (b + 0.5) / (b + 0.5).sum()
    assert found.psi == pytest.approx(((q - p) * np.log(q / p)).sum())


@pytest.mark.parametrize(("n", "m"), [(100, 100), (100, 100_000), (5000, 150), (1, 1), (0, 5), (5, 0), (0, 0)])
def test_groups_cover_all_bins_once_and_hold_enough(n: int, m: int) -> None:
    reference, now = binned(drawn(1, n)[:, 0]), binned(drawn(2, m, shifted=2)[:, 1])
    groups = merged(reference, now)
    assert [place for group in groups for place in group] == list(range(BINS))
    assert 1 <= len(groups) <= GROUPS
    if len(groups) > 1:
        expected = stats.contingency.expected_freq([grouped(reference, groups), grouped(now, groups)])
        assert expected.min() >= 5


def test_scores_that_are_all_one_number_have_nothing_to_compare() -> None:
    assert shift(binned(np.zeros(200)), binned(np.zeros(300))) == (0.0, 1.0)


@pytest.mark.parametrize("seed", range(10))
def test_holm_is_that_of_an_implementation_by_its_definition(seed: int) -> None:
    ps = np.random.default_rng(seed).uniform(0, 0.2, 7).tolist()
    spent = math.pi**2 * 9 / 6
    ranked = sorted(ps)
    wanted = [max(min(1, spent * (7 - rank) * ranked[rank]) for rank in range(ranked.index(p) + 1)) for p in ps]
    assert adjusted(ps, 3) == pytest.approx(wanted)


def test_what_all_looks_are_granted_adds_up_to_alpha() -> None:
    """A single feature whose p is ALPHA / spent is at the bound of its look: those bounds add up."""
    bounds = [ALPHA / adjusted([1e-9], look)[0] * 1e-9 for look in range(1, 20_001)]
    assert sum(bounds) <= ALPHA
    assert sum(bounds) == pytest.approx(ALPHA, rel=1e-4)


def test_the_same_distribution_raises_no_more_false_alarms_than_stated() -> None:
    """200 draws: none may drift, and the test alone, which the index backs up, keeps to ALPHA.

    Of 200 draws at a level of 1% more than 7 would come once in a thousand times.
    """
    drifted, alarms = 0, 0
    for seed in range(200):
        found = compare(sample(drawn(seed, 150)), sample(drawn(seed + 10_000, 3000)), look=1)
        drifted += bool(found.drifted)
        alarms += any(feature.adjusted < ALPHA for feature in found.features)
    assert drifted <= ALPHA * 200
    assert alarms <= 7


def test_a_year_of_weekly_looks_at_the_same_distribution_raises_none() -> None:
    reference = sample(drawn(1, 150))
    looks = [compare(reference, sample(drawn(100 + week, 1000)), look=week + 1) for week in range(52)]
    assert [look for look in looks if look.drifted] == []


@pytest.mark.parametrize("seed", range(5))
def test_a_shift_of_a_point_and_a_half_is_found_where_it_is(seed: int) -> None:
    found = compare(sample(drawn(seed, 150)), sample(drawn(seed + 50, 1000, shifted=1.5)), look=20)
    names = [feature.name for feature in found.drifted]
    assert names[0] == "benefit"
    assert "readiness" not in names
    moved = found.drifted[0]
    assert moved.psi >= LARGE
    assert moved.now is not None
    assert moved.before is not None
    assert moved.now - moved.before == pytest.approx(1.5, abs=0.5)


def test_another_spread_about_the_same_mean_is_found() -> None:
    narrow = np.full((400, 2), 5.0) + np.random.default_rng(1).normal(0, 0.3, (400, 2))
    assert compare(sample(drawn(1, 200)), sample(narrow), look=1).drifted


@pytest.mark.parametrize(("n", "m"), [(MIN_ARTICLES - 1, 5000), (5000, MIN_ARTICLES - 1)])
def test_too_few_never_drift(n: int, m: int) -> None:
    found = compare(sample(drawn(1, n)), sample(drawn(2, m, shifted=4)), look=1)
    assert (found.enough, found.drifted) == (False, [])
    assert compare(sample(drawn(1, 100)), sample(drawn(2, 100, shifted=4)), look=1).drifted


def test_where_articles_come_from_explains_and_decides_nothing() -> None:
    reference, now = sample(drawn(1, 200)), sample(drawn(2, 300))
    spread = now.spread.model_copy(update={"sources": {"new": 280, "a": 20}})
    found = compare(reference, now.model_copy(update={"spread": spread}), look=1)
    assert found.drifted == []
    assert found.mix["source"].psi > 1
    assert found.mix["source"].more == [("new", 0.0, pytest.approx(280 / 300))]
