"""Figures by hand, against scipy and scikit-learn, and the published ones of two earlier models."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from distillery.components.benchmarking.metrics import Judged, confusion, measure, spearman

DATA = Path(os.environ.get("DISTILLERY_DATA", Path(__file__).parents[2] / "../shared/data"))


def judged(labels, predictions, cuts=(6.0, 4.0), tiers=("high", "medium", "low")):
    """Verdicts of plain means and descending cuts, so that these tests need no filter."""
    labels, predictions = np.asarray(labels, float), np.asarray(predictions, float)
    overall = labels.mean(axis=1), predictions.mean(axis=1)
    codes = [(np.asarray(cuts)[None, :] > values[:, None]).sum(axis=1) for values in overall]
    names = [f"d{i}" for i in range(labels.shape[1])]
    return Judged(names, tiers, labels, predictions, *overall, *codes)


def point(case):
    return {path: float(values[0]) for path, values in measure(case).items()}


@pytest.fixture
def noisy():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 11, size=(200, 4)).astype(float)
    return judged(labels, np.clip(labels * 0.7 + rng.normal(1, 1.5, labels.shape), 0, 10))


def test_figures_worked_out_by_hand():
    # errors: d0 +1, 0, -2, 0; d1 +1, -2, 0, 0. overalls labelled 7 5 3 1, predicted 8 4 2 1.
    found = point(judged([[8, 6], [5, 5], [4, 2], [1, 1]], [[9, 7], [5, 3], [2, 2], [1, 1]]))
    assert found["mae"] == pytest.approx(6 / 8)
    assert found["rmse"] == pytest.approx((10 / 8) ** 0.5)
    assert found["dimensions.d0.mae"] == pytest.approx(3 / 4)
    assert found["dimensions.d1.rmse"] == pytest.approx((5 / 4) ** 0.5)
    assert found["dimensions.d0.bias"] == pytest.approx(-1 / 4)
    assert found["overall_mae"] == pytest.approx(3 / 4)
    assert found["overall_rmse"] == pytest.approx((3 / 4) ** 0.5)
    assert found["bias"] == pytest.approx(-1 / 4)
    assert found["spearman"] == pytest.approx(1.0)
    # std of 8 4 2 1 over std of 7 5 3 1
    assert found["score_compression"] == pytest.approx(np.std([8, 4, 2, 1]) / np.std([7, 5, 3, 1]))
    assert found["tier_agreement"] == pytest.approx(1.0)


def test_a_top_tier_that_is_never_predicted_has_no_recall_and_no_precision():
    case = judged([[7, 7], [5, 5], [1, 1]], [[5, 5], [5, 5], [4, 4]])
    found = point(case)
    assert found["tiers.high.recall"] == 0
    assert np.isnan(found["tiers.high.precision"])
    assert found["tiers.medium.recall"] == 1
    assert found["tiers.medium.precision"] == pytest.approx(1 / 3)
    assert found["tiers.medium.recall_or_better"] == 1
    assert found["tiers.medium.precision_or_better"] == pytest.approx(2 / 3)
    assert found["tier_agreement"] == pytest.approx(1 / 3)
    assert confusion(case).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_nobody_labelled_a_tier():
    found = point(judged([[1, 1], [2, 2]], [[7, 7], [2, 2]]))
    assert np.isnan(found["tiers.high.recall"])
    assert found["tiers.high.precision"] == 0


def test_constant_labels_leave_correlation_and_compression_undefined():
    found = point(judged(np.full((5, 2), 0.1), np.random.default_rng(0).uniform(0, 10, (5, 2))))
    assert np.isnan(found["spearman"])
    assert np.isnan(found["score_compression"])
    assert np.isnan(found["dimensions.d0.compression"])
    assert found["mae"] > 0


def test_agrees_with_scikit_learn_and_scipy(noisy):
    from scipy import stats
    from sklearn import metrics as reference

    found = point(noisy)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(noisy.labels, noisy.predictions))
    assert found["rmse"] == pytest.approx(reference.mean_squared_error(noisy.labels, noisy.predictions) ** 0.5)
    rho = stats.spearmanr(noisy.overall_labels, noisy.overall_predictions).statistic
    assert found["spearman"] == pytest.approx(rho, abs=1e-12)
    assert found["dimensions.d2.spearman"] == pytest.approx(
        stats.spearmanr(noisy.labels[:, 2], noisy.predictions[:, 2]).statistic, abs=1e-12
    )
    matrix = reference.confusion_matrix(noisy.tier_labels, noisy.tier_predictions, labels=[0, 1, 2])
    assert confusion(noisy).tolist() == matrix.tolist()
    recalls = reference.recall_score(noisy.tier_labels, noisy.tier_predictions, labels=[0, 1, 2], average=None)
    precisions = reference.precision_score(noisy.tier_labels, noisy.tier_predictions, labels=[0, 1, 2], average=None)
    assert [found[f"tiers.{t}.recall"] for t in noisy.tiers] == pytest.approx(recalls.tolist())
    assert [found[f"tiers.{t}.precision"] for t in noisy.tiers] == pytest.approx(precisions.tolist())


def test_weights_are_the_same_as_repeating_articles(noisy):
    counts = np.random.default_rng(3).integers(0, 4, noisy.n)
    rows = np.repeat(np.arange(noisy.n), counts)
    weighted = {path: values[0] for path, values in measure(noisy, counts[None].astype(float)).items()}
    repeated = point(judged(noisy.labels[rows], noisy.predictions[rows]))
    assert weighted.keys() == repeated.keys()
    for path, value in repeated.items():
        assert weighted[path] == pytest.approx(value, abs=1e-9, nan_ok=True), path


def test_spearman_of_reversed_ranks_with_ties():
    from scipy import stats

    left, right = np.array([1.0, 1, 2, 3, 3, 3]), np.array([9.0, 8, 8, 2, 1, 1])
    assert spearman(left, right)[0] == pytest.approx(stats.spearmanr(left, right).statistic)


@pytest.mark.parametrize("name", ["uplifting_v4", "sustainability_technology_v2"])
def test_reproduces_the_published_figures(name):
    path = DATA / "golden" / f"{name}.json"
    if not path.exists():
        pytest.skip("the earlier models' predictions are not at hand (DISTILLERY_DATA)")
    golden = json.loads(path.read_text())
    case = judged(golden["labels"], golden["predictions"])
    found = point(case)
    ours = {"mae": found["mae"], "rmse": found["rmse"]}
    for i, dimension in enumerate(golden["dimension_names"]):
        ours[f"{dimension}_mae"] = found[f"dimensions.d{i}.mae"]
        ours[f"{dimension}_rmse"] = found[f"dimensions.d{i}.rmse"]
    assert len(golden["published"]) == 2 + 2 * len(golden["dimension_names"])
    assert ours == pytest.approx(golden["published"], abs=1e-6, rel=0)
