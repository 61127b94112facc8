"""A learning curve: nested fractions found by their digest, a fit that is what it claims, an answer by its interval."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from distillery.components.articles.label_table import scores
from distillery.components.artifacts.split import StoredSplit, load_split
from distillery.components.choosing.curve import extrapolated, gain_of
from distillery.components.choosing.curve_sheet import curve_sheet
from distillery.components.choosing.learning import learning_curve
from distillery.components.reporting.sheet import sheet_html, sheet_markdown
from distillery.components.training.train import train
from distillery.filters.errors import InputError
from tests.reporting.test_report_page import Page
from tests.training.conftest import Notes

SIZES = np.array([500.0, 1000.0, 1500.0, 2000.0])


def law(n, floor, scale, power):
    return floor + scale * n**-power


@pytest.mark.parametrize(("floor", "scale", "power"), [(0.5, 3.0, 0.5), (0.0, 4.0, 0.3), (0.6, 20.0, 1.0), (0.55, 0.0, 0.5)])
def test_a_curve_of_that_law_is_found_again_and_agrees_with_scipy(floor, scale, power):
    errors = law(SIZES, floor, scale, power)
    found = extrapolated(SIZES, errors[None], 4000)[0]
    assert found == pytest.approx(law(4000, floor, scale, power), abs=2e-3)
    if scale and floor:
        theirs, _ = curve_fit(law, SIZES, errors, p0=(floor, scale, power), maxfev=20_000)
        assert found == pytest.approx(law(4000, *theirs), abs=2e-3)


def test_a_curve_never_rises_and_never_falls_below_nothing():
    rising = np.array([[0.5, 0.6, 0.7, 0.8], [0.4, 0.1, 0.05, 0.01], [0.6, 0.6, 0.6, 0.6]])
    found = extrapolated(SIZES, rising, 10**9)
    assert found[0] == pytest.approx(0.65)
    assert found[1] >= 0
    assert found[2] == pytest.approx(0.6)
    at_the_end, later = extrapolated(SIZES, rising, 2000), extrapolated(SIZES, rising, 4000)
    assert (later <= at_the_end + 1e-12).all()


@pytest.mark.parametrize(
    ("interval", "helps"),
    [((0.02, 0.05), "yes"), ((0.0, 0.015), "no"), ((0.0, 0.05), "not decided"), ((0.005, 0.019), "no"), (None, "not decided")],
)
def test_the_answer_follows_the_interval(interval, helps):
    assert gain_of(0.6, 0.57, interval).helps == helps


class Taught:
    """Stands in for training and prediction: a student errs by 1 point, and by 20 more over the labels that it saw."""

    def __init__(self) -> None:
        self.trained: list[str] = []

    def train(self, store, flt, *, split, progress=None):
        self.trained.append(split)
        return SimpleNamespace(outputs={"adapter": split[::-1]})

    def raw(self, store, flt, adapter, part, validation, progress):
        labels = scores(validation, flt.dimensions)
        off = 1 + 20 / load_split(store, adapter[::-1]).train.num_rows
        return labels + np.where(labels > 5, -off, off) * np.linspace(0.5, 1.5, len(labels))[:, None]


def test_more_labels_help_where_the_error_falls_and_by_as_much_as_the_law_says(store, split, tiny_filter, monkeypatch):
    flt, taught = tiny_filter(epochs=1), Taught()
    monkeypatch.setattr("distillery.components.training.train.train", taught.train)
    monkeypatch.setattr("distillery.components.choosing.learning._raw", taught.raw)
    found = learning_curve(store, flt, split=split, fractions=[0.5, 0.75], times=2)
    assert taught.trained == [point.split for point in found.points]
    assert found.overall.helps == "yes"
    assert found.overall.now == pytest.approx(1 + 20 / 32, abs=0.02)
    assert found.overall.then == pytest.approx(1 + 20 / 64, abs=0.05)
    low, high = found.overall.interval
    assert low < found.overall.gain < high
    low, high = found.overall.then_interval
    assert low < found.overall.then < high
    for point in found.points:  # articles err by 0.5 to 1.5 times what a student of so many labels errs by
        off = (1 + 20 / point.labels) * np.linspace(0.5, 1.5, 24)
        wanted = stats.bootstrap((off,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
        assert point.interval == pytest.approx((wanted.low, wanted.high), abs=0.03)
    assert found.usd is None
    assert found.to_json()["dimensions"].keys() == found.dimensions.keys()
    monkeypatch.setattr(
        "distillery.components.choosing.learning._raw", lambda s, f, a, p, v, _: scores(v, f.dimensions) * 0 + 5
    )
    flat = learning_curve(store, flt, split=split, fractions=[0.5, 0.75])
    assert flat.overall.helps == "no"
    assert flat.overall.gain == pytest.approx(0, abs=1e-9)
    for curve, says in ((found, "they help."), (flat, "they do not help.")):
        sheet = curve_sheet("tiny", curve)
        page, text = Page(sheet_html(sheet)), sheet_markdown(sheet)
        assert sheet.sentence.endswith(says)
        assert "take 68 more labels, at a price that is not known" in sheet.sentence
        assert page.words.count("extrapolated") >= 2  # beside the plot's last point, and in the footer
        assert all(len(row) == len(table.head) for table in sheet.shown for row in table.cells)
        assert all(f"| {point.labels} | {point.mae:.3f} |" in text for point in curve.points)


@pytest.mark.slow
def test_fractions_are_nested_and_found_by_their_digest(store, split, tiny_filter):
    flt = tiny_filter(epochs=1)
    found = learning_curve(store, flt, split=split, fractions=[0.5, 0.75], times=3, label_usd=0.01, progress=Notes())
    assert [point.labels for point in found.points] == [16, 24, 32]
    assert found.points[-1].split == split
    whole = load_split(store, split)
    before: set[str] = set()
    for point in found.points:
        part = load_split(store, point.split)
        articles = set(part.train["article"].to_pylist())
        assert before < articles
        assert len(articles) == point.labels
        assert point.split == split or StoredSplit(store, point.split).rows.train == point.labels
        assert part.validation.equals(whole.validation)
        assert part.test.equals(whole.test)
        before = articles
        assert point.mae == pytest.approx(np.mean(list(point.dimensions.values())))
    assert train(store, flt, split=split).outputs["adapter"] == found.points[-1].adapter
    assert (found.ahead, found.more, found.usd) == (96, 136, 1.36)  # 32 learn, 24 validate, 12 test: twice as many again
    assert set(found.dimensions) == set(flt.dimensions)
    low, high = found.overall.interval
    assert low <= high
    assert low >= 0
    assert not [key for key in store.keys("judgements") if "/benchmark/" in key and found.points[0].adapter in key]

    notes = Notes()
    again = learning_curve(store, flt, split=split, fractions=[0.75, 0.5], times=3, label_usd=0.01, progress=notes)
    assert again == found
    assert not [note for note in notes.notes if "trainable parameters" in note]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"fractions": [0.0, 0.5]}, "0 is no fraction"),
        ({"fractions": [1.5, 0.5]}, "1.5 is no fraction"),
        ({"fractions": [0.5]}, "two sizes tell no curve"),
        ({"fractions": [0.1, 0.5]}, "0.1 of 32 articles are 4, too few to learn from"),
        ({"times": 1.0}, "1 times the labels are not more"),
        ({"times": float("nan")}, "nan times the labels are not more"),
    ],
)
def test_what_tells_no_curve_is_refused(store, split, tiny_filter, how, says):
    with pytest.raises(InputError, match=says):
        learning_curve(store, tiny_filter(epochs=1), split=split, **{"fractions": [0.5, 0.75], **how})
