"""Our draws against scipy's bootstrap, and their determinism and speed."""

import time

import numpy as np
import pytest

import distillery.components.benchmarking.intervals as module
from distillery.components.benchmarking.intervals import draws, intervals, percentiles
from distillery.components.benchmarking.metrics import Judged, measure

SEED = "5eed" * 16


def noisy(n, dimensions=8):
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 11, size=(n, dimensions)).astype(float)
    predictions = np.clip(labels + rng.normal(0, 1.5, labels.shape), 0, 10)
    overall = labels.mean(axis=1), predictions.mean(axis=1)
    codes = [np.where(values >= 6, 0, np.where(values >= 4, 1, 2)) for values in overall]
    names = [f"d{i}" for i in range(dimensions)]
    return Judged(names, ["high", "medium", "low"], labels, predictions, *overall, *codes)


@pytest.mark.parametrize("path", ["mae", "rmse", "overall_mae", "spearman", "tiers.medium.recall", "score_compression"])
def test_agrees_with_scipy(path):
    from scipy import stats

    case = noisy(150, 3)

    def statistic(rows):
        weights = np.bincount(rows.astype(int), minlength=case.n)[None].astype(float)
        return measure(case, weights)[path][0]

    theirs = stats.bootstrap(
        (np.arange(case.n),),
        statistic,
        method="percentile",
        n_resamples=2000,
        vectorized=False,
        rng=np.random.default_rng(5),
    ).confidence_interval
    low, high = intervals(lambda w: measure(case, w), case.n, SEED, 4000)[path]
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.08 * width)
    assert high == pytest.approx(theirs.high, abs=0.08 * width)


def test_covers_the_true_mean_about_95_times_in_100():
    rng, hits = np.random.default_rng(1), 0
    for i in range(200):
        sample = rng.exponential(1.0, size=200)
        low, high = intervals(lambda w, s=sample: {"mean": w @ s / w.sum(axis=1)}, 200, f"{i:064x}", 400)["mean"]
        hits += low <= 1.0 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_the_test_set_is_the_seed_and_blocks_do_not_matter(monkeypatch):
    whole = np.concatenate(list(draws(37, SEED, 50)))
    assert (whole.sum(axis=1) == 37).all()
    monkeypatch.setattr(module, "CELLS", 37 * 7)
    assert np.array_equal(np.concatenate(list(draws(37, SEED, 50))), whole)
    assert not np.array_equal(np.concatenate(list(draws(37, "0" * 63 + "1", 50))), whole)


def test_undefined_resamples_are_left_out_and_a_mostly_undefined_figure_has_no_interval():
    assert percentiles(np.array([1.0] * 60 + [np.nan] * 40)) == (1.0, 1.0)
    assert percentiles(np.array([1.0] * 40 + [np.nan] * 60)) is None
    assert percentiles(np.array([])) is None


def test_a_thousand_resamples_of_600_articles_take_seconds_at_most():
    case = noisy(600)
    began = time.process_time()
    found = intervals(lambda w: measure(case, w), case.n, SEED)
    assert time.process_time() - began < 8  # about 1.5 s of processor time; slack for a busy machine
    low, high = found["mae"]
    assert low < float(measure(case)["mae"][0]) < high


@pytest.mark.filterwarnings("error")
def test_an_end_that_is_infinite_is_none_and_infinities_within_are_no_matter():
    rising = np.arange(1000.0)
    for first, last in ((-np.inf, 0), (0, np.inf), (np.inf, np.inf)):
        samples = rising.copy()
        samples[:300], samples[-300:] = first or samples[:300], last or samples[-300:]
        assert percentiles(samples) is None
    assert percentiles(np.full(10, np.inf)) is None
    few = rising.copy()
    few[0], few[-1] = -np.inf, np.inf
    assert percentiles(few) == pytest.approx(tuple(np.percentile(rising, [2.5, 97.5])))
    assert percentiles(rising[::-1]) == tuple(np.percentile(rising, [2.5, 97.5]))
