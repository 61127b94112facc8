"""How far reviewers agree: published examples, what intervals hold, and who is named where."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from distillery.components.artifacts.calibration_marks import Agreement
from distillery.components.calibration.agreement import LEAST, agreement, alpha, disagreement, in_words
from distillery.components.calibration.judge import Share
from distillery.components.calibration.marks import read_marks
from tests.calibration.reviewers import sample, saved, written


def counted(*marks: str) -> np.ndarray:
    """One text an article, one letter a reviewer: 1 on-topic, 0 off-topic, anything else no mark."""
    return np.array([[text.count("1"), text.count("0")] for text in marks])


def by_pairs(marks: list[str]) -> float:
    """Alpha as it is defined: disagreement within articles over that among all marks, from each ordered pair."""
    units = [[letter for letter in text if letter in "01"] for text in marks]
    all_marks = [mark for unit in units for mark in unit]
    within = sum(sum(one != other for one, other in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(all_marks)
    pairs = list(permutations(all_marks, 2))
    return 1 - within / (sum(one != other for one, other in pairs) / len(pairs))


def test_alpha_is_that_of_the_published_example() -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section A: two observers, ten units, alpha 0.095."""
    first, second = "0100000010", "1110010000"
    pairs = [one + other for one, other in zip(first, second, strict=True)]
    assert alpha(counted(*pairs)) == pytest.approx(0.095, abs=5e-4)
    assert alpha(counted("11", "00", "11")) == 1
    assert alpha(counted("10", "01")) == pytest.approx(-0.5)
    assert alpha(counted("11", "11")) is None


@pytest.mark.parametrize("seed", range(20))
def test_alpha_is_what_its_definition_says_whatever_is_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks = ["".join(rng.choice(list("01-"), 5)) for _ in range(12)]
    marks = [text for text in marks if len(text.replace("-", "")) > 1] + ["01"]
    assert alpha(counted(*marks)) == pytest.approx(by_pairs(marks))


def agreed(folder: Path, *reviewers: str, first: int = 30) -> Agreement | None:
    """One text a reviewer, one letter an article: + on-topic, - off-topic, ? can't say, a blank for no mark."""
    letters = {"+": "on", "-": "off", "?": "unsure"}
    files = [
        written(folder / f"{name}.json", saved(name, {at: letters[each] for at, each in enumerate(text) if each in letters}))
        for name, text in zip(("Ada", "Bert", "Chloé"), reviewers, strict=False)
    ]
    shown = {"calibration": sample(first).articles, "fresh": sample(60, first).articles}
    return agreement(read_marks(files).reviews, shown)


def test_it_says_which_articles_and_who(tmp_path: Path) -> None:
    found = agreed(tmp_path, "++--?+ ", "+---+ +", "++-+ - ", first=3)
    assert found is not None
    assert (found.n, found.same) == (5, 2)
    assert [(row.id, row.sample, row.marks, row.applied) for row in found.disputed] == [
        ("a1", "calibration", {"Ada": "on", "Bert": "off", "Chloé": "on"}, "on"),
        ("a3", "fresh", {"Ada": "off", "Bert": "off", "Chloé": "on"}, "off"),
        ("a5", "fresh", {"Ada": "on", "Chloé": "off"}, None),
    ]
    assert [(pair.left, pair.right, pair.same, pair.n) for pair in found.pairs] == [
        ("Ada", "Bert", 3, 4), ("Ada", "Chloé", 3, 5), ("Bert", "Chloé", 2, 4)
    ]  # fmt: skip
    assert found.interval == tuple(round(end, 6) for end in Share(2, 5).interval)
    assert in_words(found).startswith("reviewers agree on 2 of 5 articles (95%: ")


def test_one_reviewer_or_none_in_common_is_no_agreement(tmp_path: Path) -> None:
    assert agreed(tmp_path, "++--") is None
    assert agreed(tmp_path, "++  ??", "  --??") is None


def test_perfect_agreement_is_no_certainty(tmp_path: Path) -> None:
    found = agreed(tmp_path, "+-" * 10, "+-" * 10)
    assert found is not None
    assert found.alpha == 1
    assert found.alpha_interval is not None
    assert 0.5 < found.alpha_interval[0] < 0.75
    assert found.alpha_interval[1] == 1
    alike = agreed(tmp_path, "-" * 20, "-" * 20)
    assert alike is not None
    assert (alike.share, alike.alpha, alike.alpha_interval) == (1, None, None)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Two reviewers, half the articles on-topic, each wrong in one of ten: alpha is 0.64."""
    from distillery.components.calibration.agreement import _interval

    rng, held = np.random.default_rng(5), 0
    for at in range(120):
        topic = rng.random(60) < 0.5
        marks = [topic ^ (rng.random(60) < 0.1) for _ in range(2)]
        on = marks[0].astype(int) + marks[1]
        found = _interval(np.stack([on, 2 - on], axis=1), Share(int((on != 1).sum()), 60), f"{at:064x}")
        assert found is not None
        held += found[0] <= 0.64 <= found[1]
    assert 0.90 <= held / 120 <= 1.0


def test_marks_that_differ_too_often_ask_for_a_review(tmp_path: Path) -> None:
    assert disagreement(None) == []
    at_the_bound = agreed(tmp_path, "+" * 8 + "-" * 12, "+" * 8 + "-" * 8 + "+" * 4)
    assert at_the_bound is not None
    assert at_the_bound.share == LEAST
    assert disagreement(at_the_bound) == []
    (reason,) = disagreement(agreed(tmp_path, "+" * 8 + "-" * 12, "+" * 8 + "-" * 7 + "+" * 5))
    assert reason.level == "REVIEW"
    assert "agree on 15 of 20 articles" in reason.text
    rare = agreed(tmp_path, "-" * 49 + "+", "-" * 50)  # alpha is near 0, yet they agree on 49 of 50
    assert rare is not None
    assert rare.alpha is not None
    assert rare.alpha < 0.1
    assert disagreement(rare) == []
