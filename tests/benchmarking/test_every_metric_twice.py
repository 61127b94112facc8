"""Every figure of a benchmark, and every metric that a gate may name, against scipy and scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference
from sklearn.dummy import DummyRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.benchmark import Benchmark
from distillery.components.artifacts.split import open_split
from distillery.components.benchmarking.baselines import fit_baselines
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.intervals import widened
from distillery.components.benchmarking.metrics import Judged, confusion, measure
from distillery.components.gating.readings import READINGS
from distillery.filters.metrics import BASELINES, EXACT, METRICS
from tests.benchmarking.conftest import DIMENSIONS
from tests.benchmarking.test_metrics import judged

# Not of predictions: each has a second implementation elsewhere.
ELSEWHERE = {
    "memory_mb": "test_figures_on_demand.py",
    "no_overfitting": "test_figures_on_demand.py",
    "latency_ms": "test_measuring.py",  # a time, which nothing but a clock gives
    "mae_vs_noise_floor": "tests/calibration/test_noise.py",  # the floor; the rest is a difference
}


def drawn(seed: int, kind: str) -> Judged:
    """Labels and predictions of 2 to 80 articles: with ties, with a column that is constant, or with tiers nobody is in."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(0, 10, (int(rng.integers(2, 80)), 3))
    predictions = np.clip(labels * rng.uniform(-0.5, 1.2) + rng.normal(1, 2, labels.shape), 0, 10)
    if kind == "ties":
        labels, predictions = np.rint(labels), np.rint(predictions)
    if kind == "constant":
        labels[:, 0], predictions[:, 1] = 4.2, 7.7
    if kind == "one tier":
        labels, predictions = labels / 3, predictions / 2
    return judged(labels, predictions)


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(left, right).statistic)


def expected(case: Judged) -> dict[str, float]:
    """What scipy and scikit-learn make of it, by our paths."""
    labels, predictions = case.labels, case.predictions
    found = {
        "mae": reference.mean_absolute_error(labels, predictions),
        "rmse": reference.mean_squared_error(labels, predictions) ** 0.5,
        "accuracy": reference.accuracy_score(np.ones(labels.size), np.abs(labels - predictions).ravel() <= 1 + 1e-9),
        "overall_mae": reference.mean_absolute_error(case.overall_labels, case.overall_predictions),
        "overall_rmse": reference.root_mean_squared_error(case.overall_labels, case.overall_predictions),
        "bias": float(np.average(case.overall_predictions) - np.average(case.overall_labels)),
        "spearman": rank_correlation(case.overall_labels, case.overall_predictions),
        "score_compression": spread(case.overall_labels, case.overall_predictions),
        "tier_agreement": reference.accuracy_score(case.tier_labels, case.tier_predictions),
    }
    for at, name in enumerate(case.dimensions):
        ours, theirs = labels[:, at], predictions[:, at]
        found |= {
            f"dimensions.{name}.mae": reference.mean_absolute_error(ours, theirs),
            f"dimensions.{name}.rmse": reference.root_mean_squared_error(ours, theirs),
            f"dimensions.{name}.bias": float(np.average(theirs) - np.average(ours)),
            f"dimensions.{name}.spearman": rank_correlation(ours, theirs),
            f"dimensions.{name}.compression": spread(ours, theirs),
        }
    for place, name in enumerate(case.tiers):
        for suffix, at in (("", np.equal), ("_or_better", np.less_equal)):
            pair = at(case.tier_labels, place), at(case.tier_predictions, place)
            found[f"tiers.{name}.recall{suffix}"] = reference.recall_score(*pair, zero_division=np.nan)
            found[f"tiers.{name}.precision{suffix}"] = reference.precision_score(*pair, zero_division=np.nan)
    return found


def spread(labels: np.ndarray, predictions: np.ndarray) -> float:
    of_labels = stats.tstd(labels)
    return float(stats.tstd(predictions) / of_labels) if of_labels > 1e-9 else float("nan")


@pytest.mark.parametrize("kind", ["plain", "ties", "constant", "one tier"])
@pytest.mark.parametrize("seed", range(12))
def test_every_figure_is_that_of_a_second_implementation(kind: str, seed: int) -> None:
    case = drawn(seed, kind)
    found, wanted = {path: float(values[0]) for path, values in measure(case).items()}, expected(case)
    assert found.keys() == wanted.keys()
    for path, value in wanted.items():
        assert found[path] == pytest.approx(value, abs=1e-9, nan_ok=True), path
    places = range(len(case.tiers))
    matrix = reference.confusion_matrix(case.tier_labels, case.tier_predictions, labels=list(places))
    assert confusion(case).tolist() == matrix.tolist()


@pytest.mark.parametrize("kind", ["plain", "ties", "constant"])
@pytest.mark.parametrize("seed", range(6))
def test_figures_of_a_resample_are_those_of_scikit_learn_with_its_weights(kind: str, seed: int) -> None:
    case = drawn(seed, kind)
    weights = np.random.default_rng(seed).integers(0, 4, (3, case.n)).astype(float)
    weights[:, 0] += 1
    found = measure(case, weights)
    for row, counts in enumerate(weights):
        pair, overall = (case.labels, case.predictions), (case.overall_labels, case.overall_predictions)
        wanted = {
            "mae": reference.mean_absolute_error(*pair, sample_weight=counts),
            "rmse": reference.mean_squared_error(*pair, sample_weight=counts) ** 0.5,
            "overall_mae": reference.mean_absolute_error(*overall, sample_weight=counts),
            "tier_agreement": reference.accuracy_score(case.tier_labels, case.tier_predictions, sample_weight=counts),
            "spearman": rank_correlation(*(np.repeat(each, counts.astype(int)) for each in overall)),
        }
        for path, value in wanted.items():
            assert found[path][row] == pytest.approx(value, abs=1e-9, nan_ok=True), path


@pytest.mark.parametrize(("hits", "total"), [(0, 1), (1, 1), (0, 12), (3, 12), (11, 12), (700, 2000)])
def test_a_share_has_an_interval_that_holds_wilsons(hits: int, total: int) -> None:
    """By its formula, and never narrower than what resampling gave."""
    z, share = stats.norm.ppf(0.975), hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total + z * z / (4 * total**2))
    assert widened((share, share), hits, total) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert widened((-1.0, 2.0), hits, total) == (-1.0, 2.0)


def test_baselines_are_those_of_scikit_learn(labelled: Any) -> None:
    train, validation, test = labelled(80), labelled(30, seed=1), labelled(40, seed=2)
    found, known = fit_baselines(train, validation, test, DIMENSIONS), scores(train, DIMENSIONS)
    for name in ("mean", "median"):
        wanted = DummyRegressor(strategy=name).fit(np.zeros((80, 1)), known).predict(np.zeros((40, 1)))
        assert found[name] == pytest.approx(wanted)
    for at, name in enumerate(DIMENSIONS):
        frame = {"source": train["source"].to_pylist(), "score": known[:, at]}
        by_source = {
            source: float(stats.scoreatpercentile(frame["score"][np.equal(frame["source"], source)], 50))
            for source in set(frame["source"])
        }
        assert found["source_median"][:, at].tolist() == [by_source[source] for source in test["source"].to_pylist()], name
    texts = [
        [f"{title}\n{content}" for title, content in zip(t["title"].to_pylist(), t["content"].to_pylist(), strict=True)]
        for t in (train, validation, test)
    ]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(texts[0])
    by_penalty = {}
    for penalty in (1.0, 0.5, 0.3):
        exact = Ridge(alpha=penalty, solver="cholesky").fit(words.transform(texts[0]).toarray(), known)
        held, wanted = (np.clip(exact.predict(words.transform(part).toarray()), 0, 10) for part in texts[1:])
        by_penalty[reference.mean_absolute_error(scores(validation, DIMENSIONS), held)] = wanted
    assert found["tfidf_ridge"] == pytest.approx(by_penalty[min(by_penalty)], abs=0.01)  # ours stops at 1e-4


def test_every_metric_that_a_gate_may_name_is_that_of_a_second_implementation(house: Any, changed: Any, readers: Any) -> None:
    gates = "gates: [{metric: mae, below: 0.8}]"
    flt = changed(gates, gates[:-1] + ", {metric: accuracy, atLeast: 0.1}]")
    split = house.split()
    before = house.adapter(readers.noisy(3.5), split)
    house.promoted(before)
    adapter = house.adapter(readers.noisy(2.0), split, train_mae=0.5, validation_mae=0.65)
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    document = Benchmark.read(house.store.get(record.outputs["key"]), "benchmark")
    with open_split(house.store, split) as parts:
        train, validation, test = (part.read() for part in (parts.train, parts.validation, parts.test))
    texts = list(zip(test["title"].to_pylist(), test["content"].to_pylist(), strict=True))
    labels, known = scores(test, DIMENSIONS), test["content_type"].to_pylist()
    predictions, theirs = (np.clip(readers.noisy(size)(texts), 0, 10) for size in (2.0, 3.5))
    # The filter's rules by hand: half and half; an untried technology is worth 2.9 at most, a column by its label 5.
    opinion = np.array([kind == "opinion" for kind in known])
    overall, ours = (
        np.where(values[:, 0] < 1, np.minimum(values.mean(axis=1), 2.9), values.mean(axis=1))
        for values in (labels, predictions)
    )
    overall = np.where(opinion, np.minimum(overall, 5.0), overall)
    tiers, named = ((values[:, None] < np.array([6.0, 4.0])).sum(axis=1) for values in (overall, ours))
    of_tier = {tier: (tiers == at, named == at) for at, tier in enumerate(("high", "medium", "low"))}
    mae, simple = reference.mean_absolute_error(labels, predictions), fit_baselines(train, validation, test, DIMENSIONS)
    of_dimension = {name: (labels[:, at], predictions[:, at]) for at, name in enumerate(DIMENSIONS)}
    wanted: dict[str, dict[str, float]] = {
        "mae": {"": mae},
        "rmse": {"": reference.mean_squared_error(labels, predictions) ** 0.5},
        "overall_mae": {"": reference.mean_absolute_error(overall, ours)},
        "overall_rmse": {"": reference.root_mean_squared_error(overall, ours)},
        "bias": {"": abs(float(np.average(ours) - np.average(overall)))},
        "spearman": {"": rank_correlation(overall, ours)},
        "tier_agreement": {"": reference.accuracy_score(tiers, named)},
        "score_compression": {"": spread(overall, ours)},
        "train_val_gap": {"": 0.65 / 0.5 - 1},
        "val_test_gap": {"": mae / 0.55 - 1},  # after the curves, as it is served
        "tier_recall": {tier: reference.recall_score(*pair) for tier, pair in of_tier.items()},
        "tier_precision": {tier: reference.precision_score(*pair) for tier, pair in of_tier.items()},
        "dimension_mae": {name: reference.mean_absolute_error(*pair) for name, pair in of_dimension.items()},
        "dimension_spearman": {name: rank_correlation(*pair) for name, pair in of_dimension.items()},
        "skill": {name: 1 - mae / reference.mean_absolute_error(labels, simple[name]) for name in BASELINES},
        "mae_vs_incumbent": {"": mae - reference.mean_absolute_error(labels, theirs)},
        "articles": {"": float(len(labels))},
        "accuracy": {"": reference.accuracy_score(np.ones(labels.size), np.abs(labels - predictions).ravel() <= 1)},
    }
    assert wanted.keys() | ELSEWHERE.keys() == METRICS.keys()
    for metric, values in wanted.items():
        for argument, value in values.items():
            (reading,) = READINGS[metric](document, argument)
            assert reading.value == pytest.approx(value, abs=2e-6), (metric, argument)
            assert (reading.interval is None) == (metric in EXACT), (metric, argument)
    assert set(EXACT) - wanted.keys() == ELSEWHERE.keys() - {"mae_vs_noise_floor"}
