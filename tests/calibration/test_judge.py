"""Marks against scores: each guard in the case in which it must fire, and not in the one beside it."""

from __future__ import annotations

import numpy as np
import pytest

from distillery.components.calibration.judge import (
    Judged,
    Share,
    judge_redundancy,
    judge_sample,
    worse_than_chance,
)

RNG = np.random.default_rng(3)


def sample(off: tuple[int, int], on: tuple[int, int], dead: int = 0) -> Judged:
    """off, on: (how many the oracle contradicts, how many are marked)."""
    overall = [8.0] * off[0] + [2.0] * (off[1] - off[0]) + [2.0] * on[0] + [8.0] * (on[1] - on[0])
    rows = np.array(overall)[:, None] + RNG.normal(0, 0.5, (len(overall), 2))
    return judge_sample(rows, np.array(overall), ["off"] * off[1] + ["on"] * on[1], ["a", "b"], dead)


@pytest.mark.parametrize(
    ("off", "on", "verdict"),
    [
        ((0, 30), (0, 30), "PASS"),
        ((1, 30), (3, 30), "PASS"),
        ((0, 16), (0, 10), "PASS"),  # the least that passes
        ((0, 15), (0, 30), "REVIEW"),  # too few marked off-topic
        ((0, 30), (0, 9), "REVIEW"),
        ((0, 0), (0, 30), "REVIEW"),
        ((3, 30), (0, 30), "REVIEW"),  # 10% of off-topic
        ((0, 30), (6, 30), "REVIEW"),  # 20% of on-topic
        ((2, 30), (0, 30), "REVIEW"),  # 7%, but the interval reaches 20%
        ((6, 30), (0, 30), "FAIL"),  # 20%
        ((0, 30), (9, 30), "FAIL"),  # 30%
        ((4, 5), (0, 30), "FAIL"),  # few, but beyond doubt
        ((1, 4), (0, 30), "REVIEW"),  # few, and in doubt
    ],
)
def test_the_shares_decide(off: tuple[int, int], on: tuple[int, int], verdict: str) -> None:
    assert sample(off, on).verdict == verdict


def test_the_interval_is_wilsons() -> None:
    low, high = Share(1, 11).interval
    assert (round(low, 3), round(high, 3)) == (0.016, 0.377)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_five_of_six_and_then_one_of_eleven_is_caught() -> None:
    first, fresh = sample((0, 20), (1, 6)), sample((0, 20), (10, 11))
    reasons = worse_than_chance(first, fresh)
    assert [reason.level for reason in reasons] == ["FAIL"]
    assert "1 of 6 on the calibration sample, but 10 of 11 on a fresh one" in reasons[0].text
    assert first.verdict == "REVIEW"  # six marks never pass by themselves
    assert fresh.verdict == "FAIL"


def test_a_fresh_sample_that_is_worse_by_chance_is_let_pass() -> None:
    assert worse_than_chance(sample((0, 30), (0, 30)), sample((2, 30), (3, 30))) == []
    assert worse_than_chance(sample((8, 30), (9, 30)), sample((0, 30), (0, 30))) == []  # better is not worse
    assert len(worse_than_chance(sample((0, 60), (0, 60)), sample((8, 60), (0, 60)))) == 1


def test_a_dead_dimension_fails_and_a_flat_one_is_looked_at() -> None:
    overall = np.array([8.0, 2.0] * 20)
    marks = ["on", "off"] * 20
    dead = judge_sample(np.column_stack([overall, np.full(40, 3.0)]), overall, marks, ["a", "b"])
    assert (dead.verdict, dead.constant) == ("FAIL", ["b"])
    flat = judge_sample(np.column_stack([overall, 3 + np.linspace(0, 1, 40)]), overall, marks, ["a", "b"])
    assert flat.verdict == "REVIEW"
    assert "b hardly varies" in flat.reasons[0].text


def test_many_articles_without_a_reply_are_looked_at() -> None:
    assert sample((0, 30), (0, 30), dead=3).verdict == "PASS"
    assert sample((0, 30), (0, 30), dead=4).verdict == "REVIEW"


def test_redundancy_alone_is_never_worse_than_review() -> None:
    one = RNG.normal(6, 1, 60)
    found, reasons = judge_redundancy(np.column_stack([one, one + RNG.normal(0, 0.1, 60)]), ["on"] * 60, ["a", "b"])
    assert {reason.level for reason in reasons} == {"REVIEW"}
    assert len(reasons) == 2  # the component, and the pair
    assert (found.pairs[0].r or 0) > 0.85


def test_off_topic_articles_make_no_dimensions_redundant() -> None:
    on = RNG.normal(6, 1, (60, 2))
    everything = np.concatenate([on, np.zeros((60, 2))])
    found, reasons = judge_redundancy(everything, ["on"] * 60 + ["off"] * 60, ["a", "b"])
    assert (found.n, reasons) == (60, [])
    assert judge_redundancy(everything, [None] * 120, ["a", "b"])[1]  # without marks they would
