"""Simple predictors on small tables worked out by hand, and how articles are grouped."""

import numpy as np
import pyarrow as pa
import pytest

from distillery.components.benchmarking.baselines import fit_baselines, source_median, tfidf_ridge
from distillery.components.benchmarking.metrics import Judged
from distillery.components.benchmarking.slices import slice_measures, slicings


def table(rows):
    """rows: (source, content, score)."""
    return pa.table(
        {
            "title": [""] * len(rows),
            "content": [row[1] for row in rows],
            "source": [row[0] for row in rows],
            "language": ["en"] * len(rows),
            "score.benefit": [float(row[2]) for row in rows],
        }
    )


def test_mean_median_and_source_median_by_hand():
    train = table([("a", "sun wind", 1), ("a", "sun rain", 2), ("a", "wind rain", 9), ("b", "sun", 6)])
    test = table([("b", "sun", 0), ("a", "wind", 0), ("unseen", "rain", 0)])
    found = fit_baselines(train, None, test, ["benefit"])
    assert found["mean"][:, 0].tolist() == [4.5] * 3
    assert found["median"][:, 0].tolist() == [4.0] * 3
    assert found["source_median"][:, 0].tolist() == [6.0, 2.0, 4.0]


def test_a_source_that_is_null_is_a_source():
    assert source_median([None, None, "a"], np.array([[1.0], [3.0], [9.0]]), [None, "", "a"])[:, 0].tolist() == [2, 2, 9]


def test_ridge_learns_words_stays_in_range_and_is_deterministic():
    rng = np.random.default_rng(4)
    kinds = [("clean", 9) if good else ("dirty", 1) for good in rng.random(200) < 0.5]
    rows = [("a", f"{word} energy item{rng.integers(40)}", score) for word, score in kinds]
    test = table([("a", "clean energy", 0), ("a", "dirty energy", 0)])
    once = tfidf_ridge(table(rows[:150]), table(rows[150:]), test, ["benefit"])
    again = tfidf_ridge(table(rows[:150]), table(rows[150:]), test, ["benefit"])
    assert np.array_equal(once, again)
    assert once[0, 0] > 8
    assert once[1, 0] < 2
    assert once.min() >= 0
    assert once.max() <= 10


def test_the_penalty_is_chosen_on_validation(monkeypatch):
    import distillery.components.benchmarking.baselines as module

    tried = []

    def ridge(seen, known, wanted, penalty):
        tried.append(penalty)
        return np.full((wanted.shape[0], 1), {1.0: 3.0, 0.5: 7.0, 0.3: 5.0}[penalty])

    monkeypatch.setattr(module, "_ridge", ridge)
    train = table([("a", "sun", 1), ("a", "sun", 2)])
    validation = table([("a", "sun", 7)])
    assert tfidf_ridge(train, validation, train, ["benefit"])[0, 0] == 7.0
    assert tried == [1.0, 0.5, 0.3, 0.5]


def test_articles_without_a_common_word_have_no_ridge():
    train = table([("a", "sun", 1), ("a", "wind", 2), ("b", "rain", 3)])
    assert tfidf_ridge(train, None, train, ["benefit"]) is None
    assert set(fit_baselines(train, None, train, ["benefit"])) == {"mean", "median", "source_median"}


def judged(labels, predictions):
    labels, predictions = np.asarray(labels, float)[:, None], np.asarray(predictions, float)[:, None]
    none = np.zeros(len(labels), dtype=np.int64)
    return Judged(["benefit"], ["all"], labels, predictions, labels[:, 0], predictions[:, 0], none, none)


def test_sources_beyond_the_twelfth_are_one_group():
    rows = [(f"s{i:02d}", "word", 1) for i in range(15) for _ in range(20 - i)]
    source = slicings(table(rows))[0]
    assert source.values == [f"s{i:02d}" for i in range(12)] + ["(other)"]
    assert np.bincount(source.group).tolist() == [20 - i for i in range(12)] + [8 + 7 + 6]


def test_length_groups_run_from_short_to_long_and_none_is_empty():
    length = slicings(table([("a", "word " * count, 1) for count in (1300, 99, 100, 299, 650)]))[2]
    assert length.values == ["under 100 words", "100–299 words", "600–1199 words", "1200 words or more"]
    assert length.group.tolist() == [3, 0, 1, 1, 2]


def test_figures_of_a_group_by_hand():
    frame = table([("a", "x", 0), ("b", "x", 0), ("a", "x", 0), ("", "x", 0)])
    source = slicings(frame)[0]
    found = slice_measures(judged([1, 2, 3, 4], [2, 2, 0, 9]), source)
    assert source.values == ["a", "(none)", "b"]
    assert found["mae"][0].tolist() == [2.0, 5.0, 0.0]
    assert found["bias"][0].tolist() == [-1.0, 5.0, 0.0]
    drawn_twice = slice_measures(judged([1, 2, 3, 4], [2, 2, 0, 9]), source, np.array([[3.0, 0, 1, 0]]))
    assert drawn_twice["mae"][0][0] == pytest.approx((3 * 1 + 3) / 4)
    assert np.isnan(drawn_twice["mae"][0][1])
