"""Caps of content types act on labels alone: what that costs is told where a student is judged, reported and scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distillery.components.articles.label_table import label_table
from distillery.components.artifacts.benchmark import Benchmark, read_benchmark
from distillery.components.artifacts.content_caps import CapFigures, Found, cap_figures, caps_told, read_caps
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.benchmarking.evaluate import evaluate, with_caps
from distillery.components.reporting.context import Context
from distillery.components.reporting.render import render_html, render_markdown
from distillery.components.runtime.caps import tell_caps
from distillery.components.runtime.progress import Progress
from distillery.components.student.content_types import Reading
from distillery.filters.filter import Filter
from distillery.pipelines.results import print_benchmark
from tests.benchmarking.conftest import FakeStudent, House, make_filter, make_labels, reads, reads_with_noise

NO_TYPES = ("  contentTypes: [{name: opinion, description: A column without facts., cap: 5.0}]\n", "")


def overall(flt: Filter, scores: list[float], kind: str | None) -> float:
    """The overall score of one article, worked out a second time and without arrays."""
    value = round(sum(scores) / 2, 9)
    if kind == "opinion":
        value = min(value, 5.0)
    return min(value, 2.9) if scores[0] < 1 else value


def test_the_figures_are_those_of_a_second_reckoning() -> None:
    flt, rng = make_filter(), np.random.default_rng(1)
    labels, noise = rng.uniform(0, 10, (200, 2)), rng.normal(0, 1, (200, 2))
    predictions = np.clip(labels + noise, 0, 10)
    kinds = [["opinion", "none", None][at % 3] for at in range(200)]
    found = cap_figures(flt, labels, predictions, kinds)
    truth = [overall(flt, [*row], kind) for row, kind in zip(labels, kinds, strict=True)]
    bare = [overall(flt, [*row], None) for row in labels]
    served = [overall(flt, [*row], None) for row in predictions]
    capped = [overall(flt, [*row], kind) for row, kind in zip(predictions, kinds, strict=True)]
    assert found is not None
    assert (found.n, found.named) == (200, sum(kind == "opinion" for kind in kinds))
    assert found.capped == sum(a < b for a, b in zip(truth, bare, strict=True)) > 10
    assert found.overall_mae == pytest.approx(np.mean(np.abs(np.subtract(served, truth))))
    assert found.overall_mae_capped == pytest.approx(np.mean(np.abs(np.subtract(capped, truth))))
    assert found.cost > 0.05
    better = [(a >= 6) > (b >= 6) or (a >= 4) > (b >= 4) for a, b in zip(served, truth, strict=True)]
    assert found.raised == sum(x and a < b for x, a, b in zip(better, truth, bare, strict=True)) > 5


def test_a_perfect_student_still_pays_for_the_caps() -> None:
    flt = make_filter()
    scores = np.array([[9.0, 9.0], [2.0, 3.0]])
    found = cap_figures(flt, scores, scores, ["opinion", "opinion"])
    assert found == CapFigures(n=2, named=2, capped=1, overall_mae=2.0, overall_mae_capped=0.0, raised=1)
    assert "On 2 test articles, of which 1 are capped" in caps_told(flt, found)
    assert "is 2.000 so, and 0.000 with them (+2.000); 1 of these it puts into a better tier" in caps_told(flt, found)


def test_what_the_students_own_types_do_is_reckoned_and_told() -> None:
    flt = make_filter()
    labels = np.array([[9.0, 9.0], [8.0, 8.0], [6.0, 8.0], [2.0, 3.0], [9.0, 7.0]])
    predictions = np.array([[8.0, 9.0], [8.0, 7.0], [6.0, 6.0], [2.0, 3.0], [9.0, 7.0]])
    kinds = ["opinion", "opinion", None, "opinion", "none"]
    named = ["opinion", None, "opinion", "opinion", None]
    # truth: 5, 5, 7, 2.5, 8; without caps: 8.5, 7.5, 6, 2.5, 8; served: 5, 7.5, 5, 2.5, 8; by labels' types: 5, 5, 6, 2.5, 8
    found = cap_figures(flt, labels, predictions, kinds, named)
    assert found is not None
    assert found.head is not None
    assert (found.n, found.named, found.capped, found.raised) == (5, 3, 2, 1)
    assert found.overall_mae == pytest.approx((3.5 + 2.5 + 1) / 5)
    assert found.overall_mae_capped == pytest.approx(1 / 5)
    assert found.head.overall_mae == pytest.approx((2.5 + 2) / 5)
    assert found.head.types == {"opinion": Found(labelled=3, predicted=3, right=2)}
    assert found.head.capped == Found(labelled=2, predicted=2, right=1)
    assert (found.head.capped.recall, found.head.capped.precision) == (0.5, 0.5)
    told = caps_told(flt, found)
    assert "are applied to the student's scores by the types that it names" in told
    assert (
        "On 5 test articles it names opinion (precision 0.67, recall 0.67, 3 labelled). Of 2 that are capped by their " in told
    )
    assert (
        "labels it caps 1, and 1 others; 1 of these it puts into a better tier. The error of the overall score is 0.900 "
        in told
    )
    assert told.endswith("so, 1.400 without these caps, and 0.200 with the labels' own types")
    assert CapFigures.read(found.to_bytes(), "x") == found
    bare = cap_figures(flt, labels, predictions, kinds)
    assert bare is not None
    assert "head" not in bare.to_json()
    assert bare.raised == 2
    assert caps_told(flt, None, head=True).endswith("by the types that it names; how well it names them is not known")


def test_precision_and_recall_are_those_of_a_library() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    flt, rng = make_filter(), np.random.default_rng(3)
    labels = rng.uniform(0, 10, (300, 2))
    kinds, named = ([["opinion", None][at] for at in rng.integers(0, 2, 300)] for _ in range(2))
    found = cap_figures(flt, labels, labels, kinds, named)
    assert found is not None
    assert found.head is not None
    truth, ours = ([kind == "opinion" for kind in those] for those in (kinds, named))
    capped = [[kind == "opinion" and overall(flt, [*row], None) > 5 for kind, row in zip(those, labels, strict=True)]
              for those in (kinds, named)]  # fmt: skip
    for each, wanted in ((found.head.types["opinion"], (truth, ours)), (found.head.capped, capped)):
        precision, recall, _, _ = precision_recall_fscore_support(*wanted, average="binary")
        assert (each.precision, each.recall) == (pytest.approx(precision), pytest.approx(recall))
    nothing = cap_figures(flt, labels, labels, kinds, [None] * 300)
    assert nothing is not None
    assert nothing.head is not None
    assert (nothing.head.capped.precision, nothing.head.capped.recall) == (None, 0.0)
    assert "it names opinion (none of " in caps_told(flt, nothing)
    assert "(none is there)" in caps_told(flt, cap_figures(flt, labels, labels, [None] * 300, [None] * 300) or nothing)


def test_without_types_there_is_nothing_to_tell_and_without_labels_that_name_one_the_cost_is_unknown() -> None:
    scores = np.array([[9.0, 9.0]])
    bare = make_filter(*NO_TYPES)
    assert cap_figures(bare, scores, scores, ["opinion"]) is None
    assert caps_told(bare, None) == ""
    flt = make_filter()
    assert caps_told(flt, None).endswith("what that costs is not known")
    for kinds in (None, [None], ["none"]):
        assert "none of the 1 test labels names one" in caps_told(flt, cap_figures(flt, scores, scores, kinds))


@pytest.fixture
def judged(house: House, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    split = house.split()
    adapter = house.adapter(reads_with_noise(1), split)
    record = benchmark(house.store, make_filter(), adapter=adapter, split=split)
    return {**record.outputs, "adapter": adapter, "split": split}


def test_a_stored_run_is_enough_and_its_benchmark_says_nothing_of_it(house: House, judged: dict[str, Any]) -> None:
    flt = make_filter()
    found = read_caps(house.store, flt, judged)
    assert found is not None
    assert (found.n, found.named) == (60, 6)
    assert found.cost >= 0
    assert read_caps(house.store, make_filter(*NO_TYPES), judged) is None
    assert read_caps(house.store, flt, {**judged, "predictions": None}) is None
    stored = b"".join(house.store.get(key) for key in house.store.keys("judgements") if key.endswith(".json"))
    assert b'"caps"' not in stored


def test_a_benchmark_that_is_made_to_be_read_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    from distillery.components.articles.label_table import scores
    from tests.documents import student_json

    flt = make_filter()
    frame = label_table(make_labels(60), flt.dimensions)
    bare = evaluate(flt, FakeStudent(reads, student_json(dimensions=flt.dimensions)), frame)  # type: ignore[arg-type]
    assert bare.caps is None
    found = with_caps(flt, bare, frame, scores(frame, flt.dimensions))
    assert found.caps is not None
    assert found.caps.overall_mae_capped == 0
    assert found.to_json()["caps"]["named"] == 6
    assert Benchmark.read(found.to_bytes(), "x") == found
    print_benchmark(found, flt)
    printed = " ".join(capsys.readouterr().out.split())
    assert "caps of content types (opinion 5) are not applied" in printed
    assert "mae in en," in printed
    assert "mae in nl," in printed


def test_who_scores_is_told(house: House, judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    progress = _Noting(notes)
    tell_caps(house.store, make_filter(*NO_TYPES), judged["adapter"], progress)
    assert notes == []
    tell_caps(house.store, make_filter(), judged["adapter"], progress)  # no run made it: the cost is not known
    assert notes[0].endswith("what that costs is not known")

    class Made:
        outputs = judged

    monkeypatch.setattr("distillery.components.runtime.caps.find_summary", lambda *_: Made)
    tell_caps(house.store, make_filter(), judged["adapter"], progress)
    assert "On 60 test articles" in notes[1]
    monkeypatch.setattr(Made, "outputs", {**judged, "split": "0" * 64})
    tell_caps(house.store, make_filter(), judged["adapter"], progress)
    assert notes[2] == notes[0]


class _Noting(Progress):
    """Keeps what it is told."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def note(self, text: str) -> None:
        self.notes.append(text)


class Names(FakeStudent):
    """Takes every article whose readiness is below 5 for an opinion."""

    types = True

    def read(self, texts: list[tuple[str, str]], progress: Any = None) -> Reading:
        raw = self.predict(texts)
        return Reading(raw, ["opinion" if row[0] < 5 else None for row in raw])


def test_a_student_that_names_types_is_judged_stored_and_reported_with_its_caps(house: House) -> None:
    flt, split = make_filter(), house.split()
    adapter = house.adapter(reads_with_noise(1), split)
    bare = house.students[adapter]
    house.students[adapter] = Names(bare.reader, bare.facts.model_dump())
    record = benchmark(house.store, flt, adapter=adapter, split=split)
    outputs = {**record.outputs, "adapter": adapter, "split": split}
    bench, caps = (
        read_benchmark(house.store, adapter, outputs["test"], outputs["benchmark"]),
        read_caps(house.store, flt, outputs),
    )
    assert caps is not None
    assert caps.head is not None
    assert bench.overall_mae == pytest.approx(caps.head.overall_mae)
    assert caps.head.types["opinion"].labelled == 6
    assert caps.head.types["opinion"].predicted > 10
    context = Context(filter=flt, benchmark=bench, caps=caps)
    for text in (render_html(context), render_markdown(context)):
        assert "are applied to the student" in text
        assert "not applied" not in text
        assert "Content type" in text
    frame = label_table(make_labels(40, seed=5), flt.dimensions)
    student = Names(reads, bare.facts.model_dump())
    document = evaluate(flt, student, frame)  # type: ignore[arg-type]
    seen = student.read([(row["title"], row["content"]) for row in frame.to_pylist()])
    found = with_caps(flt, document, frame, seen.raw, seen.content_types)
    assert found.caps is not None
    assert found.caps.head is not None
    assert found.overall_mae == pytest.approx(found.caps.head.overall_mae)


def test_the_report_tells_it_in_both_forms(house: House, judged: dict[str, Any]) -> None:
    flt = make_filter()
    bench = read_benchmark(house.store, judged["adapter"], judged["test"], judged["benchmark"])
    context = Context(filter=flt, benchmark=bench, caps=read_caps(house.store, flt, judged))
    for text in (render_html(context), render_markdown(context)):
        assert "are not applied to the student" in text
        assert "On 60 test articles" in text
    assert "Mean error by language: " in render_markdown(context)
    assert "content types" not in render_markdown(Context(filter=make_filter(*NO_TYPES), benchmark=bench))
