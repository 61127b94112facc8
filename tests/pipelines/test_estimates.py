"""How long a plan says a step takes follows what there is to do now, at the last run's pace."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter, with_overrides
from distillery.pipelines.estimates import Work, seconds_for


def record(step: str, seconds: float, inputs: dict[str, Any] | None = None, rows: Any = None, **facts: Any) -> StepRecord:
    outputs = {} if rows is None else {"rows": rows}
    return StepRecord.of(step, inputs or {}, outputs, [], {"seconds": seconds, **facts})


LAST = {
    "label": record("label", 400.0, {"oracle": "a"}, 1000, per_second=2.5, asked=1000),
    "audit": record("audit", 10.0),
    "train": record("train", 130.0, {"base": "b", "training": {"epochs": 6}}, articles=800, epochs=4, training_seconds=120.0),
    "benchmark": record("benchmark", 20.0),
}


@pytest.fixture
def flt() -> Filter:
    return load_filter("uplifting", overrides=["training.epochs=4", "split.validation=0.1", "split.test=0.1"])


def seconds(step: str, work: Work, inputs: dict[str, Any] | None = None) -> float | None:
    found = seconds_for(step, inputs, LAST, work)
    return None if found is None else found[0]


def test_labels_are_scaled_by_what_is_still_to_be_asked(flt: Filter) -> None:
    assert seconds("label", Work(flt, open=1000)) == 400.0
    assert seconds("label", Work(flt, open=50)) == 20.0
    assert seconds("label", Work(flt, open=0)) == 0.0
    assert seconds("label", Work(flt, open=50), {"oracle": "another"}) is None


def test_labels_of_a_run_that_asked_nothing_have_no_pace(flt: Filter) -> None:
    last = {"label": record("label", 3.0, {"oracle": "a"}, 1000, per_second=0.0, asked=0)}
    assert seconds_for("label", {"oracle": "a"}, last, Work(flt, open=50)) is None


def test_a_training_is_scaled_by_its_articles_and_the_epochs_that_ran(flt: Filter) -> None:
    assert seconds("train", Work(flt, train=800)) == 130.0  # 4 epochs ran last time, of 6
    assert seconds("train", Work(flt, train=400)) == pytest.approx(10 + 60)
    assert seconds("train", Work(flt, rows=1000)) == pytest.approx(130)  # 80% of the rows will be the train part
    twice = with_overrides(flt, ["training.epochs=8"])
    assert seconds("train", Work(twice, train=800)) == pytest.approx(10 + 240)
    assert seconds("train", Work(flt, train=800), {"base": "another"}) is None
    assert seconds("train", Work(flt, train=800), {"base": "b"}) == 130.0


def test_other_steps_are_scaled_by_labelled_articles(flt: Filter) -> None:
    assert seconds("audit", Work(flt, rows=500)) == 5.0
    assert seconds("benchmark", Work(flt, rows=3000)) == 60.0
    assert seconds("benchmark", Work(flt)) == 20.0
    assert seconds("gate", Work(flt, rows=500)) is None  # never measured


@pytest.mark.parametrize("facts", [{}, {"articles": "x"}, {"articles": 0, "epochs": 0}, {"training_seconds": "x"}])
def test_records_of_earlier_programs_and_odd_facts_do_no_harm(facts: dict[str, Any], flt: Filter) -> None:
    last = {"train": record("train", 100.0, {"training": {"epochs": 2}}, **facts), "label": record("label", 1.0, rows="x")}
    found = seconds_for("train", {}, last, Work(flt, train=100))
    assert found is not None
    assert found[0] > 0
    assert seconds_for("label", {}, last, Work(flt, open=5)) is None
    assert seconds_for("audit", {}, {"audit": record("audit", 7.0), **last}, Work(flt, rows=5)) == (7.0, False)
