"""Agreement between people, oracle and student, held against second implementations."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from distillery.components.reviewing.agreement import alpha, review_of
from distillery.components.reviewing.draw import Judged

DIMENSIONS = ["reach", "proof", "thrift"]


def alpha_by_definition(ratings: list[list[float | None]]) -> float | None:
    """Krippendorff's: one less observed over expected disagreement, over all pairs of scores, one by one."""
    units = [[row[at] for row in ratings if row[at] is not None] for at in range(len(ratings[0]))]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    n = len(values)
    observed = sum(sum((a - b) ** 2 for a in unit for b in unit) / (len(unit) - 1) for unit in units) / max(n, 1)  # type: ignore[operator]
    expected = sum((a - b) ** 2 for a in values for b in values) / (n * (n - 1)) if n > 1 else 0  # type: ignore[operator]
    return None if not expected else 1 - observed / expected


@pytest.mark.parametrize("seed", range(30))
def test_alpha_is_krippendorffs(seed: int) -> None:
    rng = random.Random(seed)
    ratings = [[rng.choice([None, *range(11)]) for _ in range(rng.randint(1, 12))] for _ in range(1)]
    width = len(ratings[0])
    ratings += [[rng.choice([None, value, rng.randint(0, 10)]) for value in ratings[0]] for _ in range(rng.randint(1, 3))]
    wanted = alpha_by_definition(ratings)  # type: ignore[arg-type]
    found = alpha(np.array(ratings, dtype=np.float64).reshape(-1, width))
    assert found == (pytest.approx(wanted, abs=1e-9) if wanted is not None else None)


def test_alpha_of_a_published_example() -> None:
    """Krippendorff's example of four observers and twelve units, whose interval alpha is 0.849."""
    _ = None
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
    assert alpha(np.array(ratings, dtype=np.float64)) == pytest.approx(0.849, abs=5e-4)


@pytest.fixture(scope="module")
def rated(judged: Judged) -> dict[str, dict[str, dict[str, float]]]:
    """Three people, of whom none scored all, and one left dimensions out."""
    rng, articles = random.Random(7), judged.articles()
    given: dict[str, dict[str, dict[str, float]]] = {}
    for at, name in enumerate(("anna", "bo", "cleo")):
        chosen = articles[at : 9 + 2 * at]
        given[name] = {article: {each: rng.randint(0, 20) / 2 for each in DIMENSIONS} for article in chosen}
    for article in list(given["cleo"])[:3]:
        del given["cleo"][article]["proof"]
    return given


def test_distances_are_those_of_scikit_learn(judged: Judged, rated: dict[str, Any]) -> None:
    from sklearn.metrics import mean_absolute_error

    review, articles = review_of(judged, rated), judged.articles()
    machines = {
        name: {article: dict(zip(DIMENSIONS, row, strict=True)) for article, row in zip(articles, matrix.tolist(), strict=True)}
        for name, matrix in (("oracle", judged.labels), ("student", judged.predictions))
    }
    people: dict[str, dict[str, float]] = {}
    for article in articles:
        scores = {
            name: [given[article][name] for given in rated.values() if name in given.get(article, {})] for name in DIMENSIONS
        }
        people[article] = {name: sum(each) / len(each) for name, each in scores.items() if each}
    looked = {article for article, row in people.items() if len(row) == len(DIMENSIONS)}
    machines["oracle"] = {article: row for article, row in machines["oracle"].items() if article in looked}
    raters = {"people": people, **rated, **machines}
    assert {(pair.left, pair.right) for pair in review.pairs} >= {("people", "oracle"), ("anna", "bo"), ("cleo", "student")}
    for pair in review.pairs:
        left, right = raters[pair.left], raters[pair.right]
        both = [a for a in articles if all(len(side.get(a, {})) == len(DIMENSIONS) for side in (left, right))]
        one, other = ([[side[article][name] for name in DIMENSIONS] for article in both] for side in (left, right))
        assert pair.n == len(both)
        assert pair.mae == pytest.approx(mean_absolute_error(one, other), abs=1e-6)
        by_dimension = mean_absolute_error(one, other, multioutput="raw_values")
        assert list(pair.dimensions.values()) == pytest.approx(by_dimension.tolist(), abs=1e-6)
        assert pair.bias == pytest.approx(np.mean(one) - np.mean(other), abs=1e-6)


def test_intervals_are_those_of_scipys_bootstrap(judged: Judged, rated: dict[str, Any]) -> None:
    from scipy.stats import bootstrap

    review, articles = review_of(judged, rated), judged.articles()
    pair = next(each for each in review.pairs if (each.left, each.right) == ("anna", "student"))
    rows = [articles.index(article) for article in articles if article in rated["anna"]]
    anna = np.array([[rated["anna"][articles[row]][name] for name in DIMENSIONS] for row in rows])
    distances = np.abs(anna - judged.predictions[rows]).mean(axis=1)
    wanted = bootstrap((distances,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1))
    wide = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert pair.interval == pytest.approx(tuple(wanted.confidence_interval), abs=0.06 * wide)


def test_people_who_agree_and_people_who_share_nothing(judged: Judged) -> None:
    articles = judged.articles()
    given = {article: {name: float(at % 10) for name in DIMENSIONS} for at, article in enumerate(articles[:8])}
    same = review_of(judged, {"a": given, "b": given})
    assert (same.overall.value, same.overall.interval) == (1.0, (1.0, 1.0))
    apart = review_of(judged, {"a": given, "b": {articles[9]: {"reach": 3.0}}})
    assert apart.overall.value is None
    assert ("a", "b") not in [(pair.left, pair.right) for pair in apart.pairs]
    constant = review_of(judged, {name: {article: dict.fromkeys(DIMENSIONS, 5.0) for article in articles} for name in "ab"})
    assert constant.overall.value is None
    assert [pair.mae for pair in constant.pairs if (pair.left, pair.right) == ("a", "b")] == [0.0]
