"""Vectorised verdicts equal a scalar reference, on any filter and any scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, load_filter_text
from distillery.filters.verdict import judge, tier_names, weighted_mean

FILTERS = {name: load_filter(name) for name in ("uplifting", "sustainability-technology", "investment-risk")}
scores = st.one_of(st.integers(-1, 11).map(float), st.floats(-5, 15))


def holds(rule: str, values: dict[str, float]) -> bool:
    return bool(eval(" ".join(rule.split()), {"__builtins__": {}}, values))


def reference(flt: Filter, row: list[float], kind: str | None) -> tuple[float, str, float]:
    values = {dimension.name: min(10.0, max(0.0, score)) for dimension, score in zip(flt.spec.dimensions, row, strict=True)}
    total = sum(dimension.weight for dimension in flt.spec.dimensions)
    mean = round(sum(dimension.weight / total * values[dimension.name] for dimension in flt.spec.dimensions), 9)
    values["overall"] = overall = mean
    for content in flt.spec.contentTypes:
        if content.name == kind and not (content.unless and holds(content.unless, values)):
            overall = min(overall, content.cap)
    for keeper in flt.spec.gatekeepers:
        if holds(keeper.when, values):
            overall = min(overall, keeper.cap)
    values["overall"] = overall
    tier = next(tier.name for tier in flt.spec.tiers if tier.when is None or holds(tier.when, values))
    return overall, tier, mean


@given(st.data(), st.sampled_from(sorted(FILTERS)))
def test_columns_equal_the_scalar_reference(data: st.DataObject, name: str) -> None:
    flt = FILTERS[name]
    rows = data.draw(
        st.lists(st.lists(scores, min_size=len(flt.dimensions), max_size=len(flt.dimensions)), min_size=1, max_size=6)
    )
    kinds = data.draw(
        st.lists(
            st.sampled_from([None, "unheard_of", *(kind.name for kind in flt.spec.contentTypes)]),
            min_size=len(rows),
            max_size=len(rows),
        )
    )
    verdicts = judge(flt, np.array(rows), kinds)
    for index, (row, kind) in enumerate(zip(rows, kinds, strict=True)):
        overall, tier, mean = reference(flt, row, kind)
        assert verdicts.overall[index] == pytest.approx(overall, abs=1e-8)
        assert verdicts.uncapped[index] == pytest.approx(mean, abs=1e-8)
        if abs(overall - mean) > 1e-8 or all(abs(overall - edge) > 1e-8 for edge in (3, 4, 6, 7)):
            assert verdicts.tier[index] == tier
        assert bool(verdicts.reason[index]) == (verdicts.overall[index] < verdicts.uncapped[index])


@given(st.data())
def test_no_score_above_and_no_order_changes_a_verdict(data: st.DataObject) -> None:
    flt = FILTERS["uplifting"]
    rows = np.array(data.draw(st.lists(st.lists(scores, min_size=8, max_size=8), min_size=2, max_size=6)))
    verdicts = judge(flt, rows)
    assert ((verdicts.overall >= 0) & (verdicts.overall <= 10)).all()
    backwards = judge(flt, rows[::-1])
    assert backwards.tier.tolist() == verdicts.tier.tolist()[::-1]
    assert judge(flt, rows.clip(0, 10)).overall.tolist() == verdicts.overall.tolist()


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("score", [0.0, 1.0, 4.0, 6.0, 7.0, 10.0])
def test_equal_scores_meet_a_threshold_exactly(name: str, score: float) -> None:
    flt = FILTERS[name]
    assert weighted_mean(flt, np.full((1, len(flt.dimensions)), score)).tolist() == [score]


def test_the_published_rules() -> None:
    flt = FILTERS["sustainability-technology"]
    verdicts = judge(flt, np.array([[2.9, 9, 9, 9, 9, 9], [3, 9, 9, 9, 9, 9], [6] * 6, [4] * 6, [3.9] * 6], dtype=float))
    assert verdicts.overall[0] == 2.9
    assert verdicts.tier.tolist() == ["low", "high", "high", "medium", "low"]
    assert "lab-only technology" in verdicts.reason[0]

    flt = FILTERS["uplifting"]
    base = dict.fromkeys(flt.dimensions, 9.0)
    cases = [
        base | {"collective_benefit": 4.9, "wonder": 1.0},
        base | {"collective_benefit": 3.0, "wonder": 7.0},
        base | {"collective_benefit": 2.9, "wonder": 9.0},
        base,
        base,
    ]
    verdicts = judge(
        flt, np.array([list(case.values()) for case in cases]), [None, None, None, "corporate_finance", "business_news"]
    )
    assert verdicts.overall[0] == 3
    assert verdicts.overall[1] > 6
    assert verdicts.overall[2:].tolist() == [3.0, 2.0, 9.0]

    flt = FILTERS["investment-risk"]
    rows = [
        [7, 0, 0, 0, 0, 0, 5, 5],
        [0, 0, 0, 0, 0, 8, 5, 5],
        [7, 0, 0, 0, 0, 0, 4, 5],
        [5, 0, 0, 0, 0, 0, 5, 4],
        [0, 0, 0, 7, 0, 0, 5, 4],
        [0, 0, 7, 3, 0, 0, 6, 5],
        [0, 0, 0, 0, 0, 0, 3.9, 9],
        [0, 0, 0, 0, 0, 0, 4, 0],
    ]
    assert judge(flt, np.array(rows, dtype=float)).tier.tolist() == [
        "RED",
        "RED",
        "BLUE",
        "YELLOW",
        "YELLOW",
        "GREEN",
        "NOISE",
        "BLUE",
    ]
    assert tier_names(flt) == ["RED", "YELLOW", "GREEN", "NOISE", "BLUE"]


def test_lowest_cap_wins_and_unless_lifts_it(changed: Callable[[str, str], str]) -> None:
    flt = load_filter_text(
        changed("lab-only technology}", "lab-only technology}\n    - {when: overall >= 9, cap: 4, because: too good}"), "x"
    )
    verdicts = judge(flt, np.array([[2.0, 9.0], [10.0, 10.0], [8.0, 7.0], [8.0, 8.0]]), ["opinion", None, "opinion", "opinion"])
    assert verdicts.overall.tolist() == [2.9, 4.0, 5.0, 8.0]
    assert verdicts.reason == [
        "lab-only technology: readiness < 3 caps the overall at 2.9",
        "too good: overall >= 9 caps the overall at 4",
        "content type opinion caps the overall at 5",
        "",
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_never_judged(flt: Filter, bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        judge(flt, np.array([[5.0, bad]]))


def test_wrong_shapes_are_refused(flt: Filter) -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        judge(flt, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="1 content types for 3 articles"):
        judge(flt, np.zeros((3, 2)), ["opinion"])
    assert judge(flt, np.zeros((0, 2))).tier.tolist() == []
