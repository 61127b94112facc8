"""Objects whose labels an oracle gives: nothing is paid unasked, and marks are waited for."""

from __future__ import annotations

from typing import Any

import pytest

from distillery.components.artifacts.rubric_calibration import RubricCalibration
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store.layout import run_record_key
from distillery.pipelines.operator import observe
from tests.operator.world import Town

PAID = ("  oracle: {model: recorded}", "  oracle: {provider: openai, model: big, price: {input: 1.0, output: 2.0}}")


def articles(town: Town) -> str:
    path = town.labels.with_name("articles.jsonl")
    path.write_text('{"id": "1", "title": "t", "content": "c"}\n')
    return f"{{articles: {path}}}"


def message(town: Town, kind: str) -> str:
    return next(str(row["message"]) for row in town.status()["conditions"] if row["type"] == kind)


def test_no_paid_call_without_a_budget(town: Town) -> None:
    town.objects.apply(town.text(PAID, data=articles(town)))
    for _ in range(3):
        town.time += 7200
        town.pass_over()
    assert not town.kubeflow.runs
    assert (town.condition("Labeled"), town.status()["phase"]) == (("False", "NoBudget"), "NoBudget")
    assert "spec.run.budget" in message(town, "Labeled")
    town.objects.apply(town.text(PAID, ("  gates:", "  run: {budget: 5.0}\n  gates:"), data=articles(town)))
    town.pass_over()
    (run,) = town.kubeflow.runs.values()
    assert run.parameters["budget"] == 5.0


OWN = "{provider: openai, model: own, baseUrl: 'http://a', price: {input: 0.0, output: 0.0}}"


@pytest.mark.parametrize("oracle", ["{model: recorded, replies: REPLIES}", OWN])
def test_what_costs_nothing_needs_no_budget(town: Town, oracle: str) -> None:
    replies = town.labels.with_name("replies.jsonl")
    replies.write_text('{"id": "1", "reply": "{}"}\n')
    text = oracle.replace("REPLIES", str(replies))
    town.objects.apply(town.text(("  oracle: {model: recorded}", f"  oracle: {text}"), data=articles(town)))
    town.pass_over()
    assert len(town.kubeflow.runs) == 1


def test_a_run_that_pays_nothing_needs_no_budget_and_gets_one_that_it_cannot_pay_from(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels are there, so only the training is due; data that grow meanwhile are not labelled on the quiet."""
    monkeypatch.setattr("distillery.pipelines.operator.reconcile.what_is_due", lambda *_: ("train", "benchmark", "gate"))
    town.objects.apply(town.text(PAID, data=articles(town)))
    town.pass_over()
    (run,) = town.kubeflow.runs.values()
    assert 0 < run.parameters["budget"] < 0.001


def waiting(town: Town, run: str, kind: str = "waiting") -> None:
    """What a run leaves whose calibration nobody has marked, or whose marks say that the rubric is no good ("input")."""
    record = StepRecord.of(
        "calibrate", {}, {"verdict": "REVIEW", "usable": False, "review": "calibrations/demo/reviews/a.html"}, []
    )
    record.put(town.store, run_record_key(run, "calibrate"))
    town.fail(run, kind, "60 articles would be labelled, but nobody has marked them", step="label")


def usable(monkeypatch: pytest.MonkeyPatch, document: Any) -> None:
    monkeypatch.setattr(observe, "read_calibration", lambda *_: document)


def test_marks_are_waited_for_with_the_page_to_mark_on(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.objects.apply(town.text(PAID, ("  gates:", "  run: {budget: 5.0}\n  gates:"), data=articles(town)))
    town.pass_over()
    waiting(town, "run-1")
    for _ in range(3):
        town.time += 7200
        town.pass_over()
    assert len(town.kubeflow.runs) == 1
    assert (town.condition("Calibrated"), town.status()["phase"]) == (("False", "AwaitingMarks"), "AwaitingMarks")
    assert f"{town.store.uri}/calibrations/demo/reviews/a.html" in message(town, "Calibrated")
    marks = town.labels.with_name("marks.json")
    marks.write_text("{}")
    run = f"  run: {{budget: 5.0, marks: {marks}}}\n  gates:"
    town.objects.apply(town.text(PAID, ("  gates:", run), data=articles(town)))
    town.pass_over()
    assert len(town.kubeflow.runs) == 2, "marks came by a commit"
    assert town.kubeflow.runs["run-2"].parameters["marks"].endswith("marks.json")


@pytest.mark.parametrize("kind", ["waiting", "input"])
def test_marks_that_came_by_hand_let_it_go_on(town: Town, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    town.objects.apply(town.text(PAID, ("  gates:", "  run: {budget: 5.0}\n  gates:"), data=articles(town)))
    town.pass_over()
    waiting(town, "run-1", kind)
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("Calibrated")[0]) == (1, "False")
    usable(monkeypatch, RubricCalibration.model_construct(verdict="PASS"))
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Running")


def test_where_everything_is_in_the_store_no_run_is_started(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a `distill` by hand, or where the operator is installed beside a store that is in use."""
    town.objects.apply(town.text())
    town.through()
    served = town.adapter()
    for key in [*town.store.keys("intents"), *(key for key in town.store.keys("runs") if key.count("/") == 1)]:
        (town.labels.parent / "store" / key).unlink()
    monkeypatch.setattr("distillery.pipelines.operator.reconcile.what_is_due", lambda *_: ())
    for _ in range(3):
        town.pass_over(world=town.world())
    assert len(town.kubeflow.runs) == 1
    assert (town.status()["phase"], town.status()["digest"], town.status()["mae"]) == ("Promoted", served, 0.5)


def test_more_data_are_another_run(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    with town.labels.open("a") as file:
        file.write('{"id": "2"}\n')
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_the_same_data_at_another_place_are_none(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    copy = town.labels.with_name("copy.jsonl")
    copy.write_bytes(town.labels.read_bytes())
    town.objects.apply(town.text(data=f"{{labels: {copy}}}"))
    town.pass_over()
    assert len(town.kubeflow.runs) == 1


def test_data_that_are_not_there_are_told_and_taken_up_when_they_are(town: Town) -> None:
    town.objects.apply(town.text(data="{labels: /nowhere/labels.jsonl}"))
    town.pass_over()
    assert (town.status()["phase"], len(town.kubeflow.runs)) == ("BadInput", 0)
    town.objects.apply(town.text())
    town.pass_over()
    assert len(town.kubeflow.runs) == 1


def test_bad_input_of_a_calibrated_run_is_not_tried_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calibration is usable, so that is not what it waited for."""
    town.objects.apply(town.text(PAID, ("  gates:", "  run: {budget: 5.0}\n  gates:"), data=articles(town)))
    town.pass_over()
    record = StepRecord.of("calibrate", {}, {"verdict": "PASS", "usable": True}, [])
    record.put(town.store, run_record_key("run-1", "calibrate"))
    town.fail("run-1", "input", "articles.jsonl:3: no text", step="label")
    usable(monkeypatch, RubricCalibration.model_construct(verdict="PASS"))
    for _ in range(3):
        town.time += 7200
        town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"], town.condition("Calibrated")[0]) == (1, "BadInput", "True")
