"""Students side by side: paired figures, tiers that flip, articles that moved, what differs, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from distillery.components.benchmarking.intervals import draws, intervals
from distillery.components.benchmarking.metrics import Judged
from distillery.components.comparing.compare import compare
from distillery.components.comparing.paired import judgement, paired
from distillery.components.comparing.sheet import comparison_sheet, sentence
from distillery.components.reporting.sheet import sheet_html, sheet_markdown
from distillery.filters.errors import InputError
from tests.reporting.test_report_page import Page


def errors(side, name):
    table = side.predictions
    return np.abs(table[f"prediction.{name}"].to_numpy() - table[f"score.{name}"].to_numpy())


def test_a_better_student_is_told_from_a_worse_one(house, side, readers):
    split = house.split()
    a, b = side(readers.noisy(3.0), split), side(readers.noisy(0.5), split, train_mae=0.3)
    found = compare([a, b])
    row = found.row("mae")
    ours, theirs = (np.mean([errors(one, name) for name in ("readiness", "benefit")]) for one in (a, b))
    assert row.values == [pytest.approx(ours), pytest.approx(theirs)]
    assert row.deltas[0].difference == pytest.approx(theirs - ours)
    assert row.deltas[0].judgement == "better"
    assert {row.path for row in found.dimensions} >= {"dimensions.readiness.mae", "dimensions.benefit.mae"}
    assert found.articles == 60
    assert found.same_test
    assert found.notes == []
    assert [row.name for row in found.data] == ["train MAE", "gap from training to validation"]
    assert sentence(found)[0].startswith("B is better than A: mean error ")


def test_students_that_are_level_are_not_decisive(house, side, readers):
    split = house.split()
    first = readers.noisy(1.0)

    def mirrored(texts):
        return 2 * readers.exact(texts) - first(texts)  # other errors of the same sizes, but where they are cut off at 0

    found = compare([side(first, split), side(mirrored, split)])
    assert found.row("mae").deltas[0].judgement == "not decisive"
    assert found.row("bias").deltas[0].judgement == ""
    assert sentence(found) == (sentence(found)[0], "plain")
    assert "not decisive" in sentence(found)[0]


def test_the_interval_is_that_of_scipy_and_narrower_than_one_that_is_not_paired():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 11, size=(300, 2)).astype(float)
    hard = rng.exponential(1.0, size=(300, 1)) * rng.choice([-1, 1], size=(300, 2))
    sides = [labels + hard, labels + hard * 0.9 + rng.normal(0, 0.05, (300, 2))]
    nothing, nowhere = np.zeros(300), np.zeros(300, dtype=np.int64)
    judged = [Judged(["x", "y"], [], labels, values, nothing, nothing, nowhere, nowhere) for values in sides]
    (row,) = paired(judged, "ab" * 32, lambda path: path == "mae")
    low, high = row.deltas[0].interval
    per_article = [np.abs(values - labels).mean(axis=1) for values in sides]
    known = stats.bootstrap(
        (per_article[1] - per_article[0],), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == (pytest.approx(known.low, abs=0.01), pytest.approx(known.high, abs=0.01))
    alone = intervals(lambda weights: {"mae": weights @ per_article[0] / weights.sum(axis=1)}, 300, "ab" * 32)["mae"]
    assert high - low < (alone[1] - alone[0]) / 2
    assert row.deltas[0].judgement == "better"


def test_a_side_against_a_copy_of_itself_differs_by_nothing_in_each_resample():
    rng = np.random.default_rng(5)
    labels, tiers = rng.integers(0, 11, size=(40, 2)).astype(float), rng.integers(0, 2, 40)
    one = Judged(["x", "y"], ["high", "low"], labels, labels + 1, labels.mean(1), labels.mean(1) + 1, tiers, tiers)
    rows = paired([one, one], "cd" * 32, lambda path: True)
    assert len(rows) > 20
    assert {row.deltas[0].difference for row in rows if row.deltas[0].difference is not None} == {0.0}
    assert {row.deltas[0].interval for row in rows if row.deltas[0].interval} == {(0.0, 0.0)}
    assert {row.deltas[0].judgement for row in rows} == {"", "not decisive"}
    assert sum(1 for _ in draws(40, "cd" * 32)) == 1


@pytest.mark.parametrize(
    ("path", "interval", "fewest", "expected"),
    [
        ("mae", (0.1, 0.2), None, "worse"),
        ("mae", (-0.2, -0.1), None, "better"),
        ("mae", (-0.2, 0.1), None, "not decisive"),
        ("mae", (0.0, 0.1), None, "not decisive"),
        ("spearman", (0.1, 0.2), None, "better"),
        ("tier_agreement", (-0.2, -0.1), None, "worse"),
        ("tiers.high.recall", (0.1, 0.2), 40, "better"),
        ("tiers.high.recall", (1.0, 1.0), 1, "not decisive"),
        ("bias", (0.1, 0.2), None, ""),
        ("dimensions.x.compression", (0.1, 0.2), None, ""),
        ("rmse", None, None, "not decisive"),
    ],
)
def test_what_an_interval_says(path, interval, fewest, expected):
    assert judgement(path, interval, fewest=fewest) == expected


def test_tiers_that_flip_and_articles_that_moved(house, side, readers):
    split = house.split()

    def low(texts):
        return np.zeros((len(texts), 2)) + readers.exact(texts).mean(axis=1, keepdims=True) * 0.01

    found = compare([side(readers.exact, split), side(low, split)], text=True)
    flips = {(row.before, row.after): row for row in found.flips}
    assert set(flips) == {("high", "low"), ("medium", "low")}
    assert sum(row.articles for row in found.flips) == sum(row.spoilt for row in found.flips) + sum(
        row.articles - row.spoilt for row in found.flips
    )
    assert all(row.mended + row.spoilt <= row.articles for row in found.flips)
    assert len(found.moved) == 20
    sizes = [abs(row.after - row.before) for row in found.moved]
    assert sizes == sorted(sizes, reverse=True)
    assert found.moved[0].title.startswith("Article 0 ")
    assert found.moved[0].tiers[1:] == ["high", "low"]
    assert all(row.title == "" for row in compare([side(readers.exact, split, maxLength=40), side(low, split)]).moved)


def test_versions_with_other_weights_are_each_judged_by_its_own(house, side, readers, changed):
    split = house.split()
    heavier = changed("weight: 0.5, description: How close", "weight: 0.9, description: How close")
    reader = readers.noisy(1.0)
    a, b = side(reader, split), side(reader, split, under=heavier, maxLength=40)
    found = compare([a, b])
    assert [row.name for row in found.settings] == ["spec.dimensions[readiness].weight"]
    assert found.settings[0].values == ["0.5", "0.9"]
    assert found.notes == ["Weights, tiers or caps differ: overall score and tier of each side follow from its own filter."]
    assert found.row("mae").deltas[0].difference == 0
    assert found.row("overall_mae").deltas[0].difference != 0


def test_sides_of_other_modes_are_told(house, side, readers):
    split = house.split()
    told = side(readers.noisy(1.0), split, instruction="Score the good.", maxLength=80)
    plain, other = (side(readers.noisy(1.1), split, maxLength=length) for length in (64, 40))
    (note,) = compare([plain, told]).notes
    assert note.startswith("Modes differ: an instruction takes its tokens from maxLength (A 64, B 80)")
    assert compare([plain, other]).notes == []


def test_filters_with_other_tiers_are_compared_without_them(house, side, readers, changed):
    split = house.split()
    fewer = changed('{name: medium, when: "overall >= 4"}, ', "")
    found = compare([side(readers.noisy(1.0), split), side(readers.noisy(1.1), split, under=fewer)])
    assert found.tiers == [] == found.flips
    assert "The filters have other tiers" in found.notes[0]
    assert found.row("overall_mae").values[0] is not None


def test_only_articles_that_all_were_tested_on_count(house, side, readers):
    a, b = side(readers.noisy(1.0), house.split(test=60)), side(readers.noisy(1.2), house.split(test=40))
    found = compare([a, b])
    assert found.articles == 40
    assert not found.same_test
    assert found.notes[0].startswith("The test parts differ (A 60, B 40 articles): all figures are of the 40 articles")
    assert found.row("mae").values[0] == pytest.approx(np.mean([errors(a, name)[:40] for name in ("readiness", "benefit")]))


def test_test_parts_with_too_little_in_common_are_refused(house, side, readers):
    a, b = side(readers.exact, house.split(train=20, test=30)), side(readers.exact, house.split(train=80, test=30))
    with pytest.raises(InputError, match="have 0 articles in common") as error:
        compare([a, b])
    assert "--labels FILE" in error.value.hint


def test_one_and_the_same_is_refused(house, side, readers):
    one = side(readers.exact, house.split())
    with pytest.raises(InputError, match="are one adapter"):
        compare([one, one])
    with pytest.raises(InputError, match="1 to compare"):
        compare([one])


def test_a_split_that_was_cleaned_away_costs_titles_alone(house, side, readers):
    split = house.split()
    sides = [side(readers.noisy(1.0), split), side(readers.noisy(1.2), split)]
    whole = compare(sides)
    shutil.rmtree(Path(house.store.uri.removeprefix("file://")) / "datasets" / split)
    found = compare([one.__class__(one.store, one.name, one.filter, one.outputs, one.about) for one in sides], text=True)
    assert found.row("mae") == whole.row("mae")
    assert "The split of A is gone" in found.notes[0]
    assert all(row.title == "" for row in found.moved)


def test_page_and_markdown_show_the_same_and_escape_what_comes_from_outside(house, side, readers):
    split = house.split()
    found = compare([side(readers.noisy(1.0), split, name="<b>a</b>"), side(readers.noisy(3.0), split)], text=True)
    sheet = comparison_sheet(found)
    page, text = sheet_html(sheet), sheet_markdown(sheet)
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "<b>a</b>" not in page + text
    for table in sheet.shown:
        assert table.title in text
        assert table.title in "".join(parsed.text)
    untold = [table for table in sheet.shown if not table.note]  # their title is not said twice
    assert 0 < parsed.attributes.count(("caption", "class", "sr")) == len(untold)
    assert {"worse"} <= {cell.text for table in sheet.shown for row in table.cells for cell in row}
    assert all(len(row) == len(table.head) for table in sheet.shown for row in table.cells)
