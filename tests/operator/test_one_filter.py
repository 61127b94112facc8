"""A Filter object from its first sight to a promoted adapter, and what each change of it has redone."""

from __future__ import annotations

import pytest

from tests.operator.world import Town


def test_an_object_starts_one_run_and_its_status_follows_it(town: Town) -> None:
    town.objects.apply(town.text())
    first = town.pass_over()
    assert first.trouble is None
    assert len(town.kubeflow.runs) == 1
    assert town.status()["phase"] == "Running"
    assert town.status()["run"]["page"].endswith("run-1")
    assert town.pass_over().done == ()
    town.play("run-1")
    town.pass_over()
    status = town.status()
    assert (status["phase"], status["digest"], status["mae"], status["verdict"]) == ("Promoted", town.adapter(), 0.5, "passed")
    assert status["usd"] == 1.25
    assert town.condition("Ready") == ("True", "Promoted")
    assert town.condition("Stalled") == town.condition("Reconciling") == ("", "")
    assert town.adapter()


def test_a_look_at_what_is_done_writes_nothing(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    writes, events = town.objects.writes, len(town.objects.events)
    for _ in range(3):
        assert town.pass_over().done == ()
    assert (town.objects.writes, len(town.objects.events), len(town.kubeflow.runs)) == (writes, events, 1)


CHANGES = {
    "a description": (("A filter for tests.", "Another text."), 0, []),
    "the budget of a run": (("  gates:", "  run: {budget: 5.0}\n  gates:"), 1, []),
    "a tier": (("overall >= 6", "overall >= 5"), 1, ["benchmark", "gate"]),
    "a gate": (("mae, below: 0.8", "mae, below: 0.7"), 1, ["gate"]),
    "a setting of the training": (("  gates:", "  training: {epochs: 4}\n  gates:"), 1, ["train", "benchmark", "gate"]),
    "a dimension's meaning": (
        ("How close to everyday use it is.", "How close to use it is."),
        1,
        ["label", "split", "train", "benchmark", "gate"],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_redoes_just_what_depends_on_it(town: Town, what: str) -> None:
    change, runs, worked = CHANGES[what]
    town.objects.apply(town.text())
    town.through()
    town.worked.clear()
    town.objects.apply(town.text(change))
    town.pass_over()
    for run in list(town.kubeflow.runs)[1:]:
        town.play(run)
    town.pass_over()
    assert (len(town.kubeflow.runs) - 1, town.worked) == (runs, worked)
    assert town.status()["observedGeneration"] == 2
    assert town.condition("Ready")[0] == "True"


def test_an_invalid_object_is_told_so_in_the_words_of_lint_and_starts_nothing(town: Town) -> None:
    town.objects.apply(town.text(("overall >= 6", "overal >= 6")))
    town.pass_over()
    assert not town.kubeflow.runs
    assert (town.status()["phase"], town.condition("Valid")) == ("Invalid", ("False", "Invalid"))
    row = next(row for row in town.status()["conditions"] if row["type"] == "Valid")
    assert row["message"].startswith("distillery/demo: spec.tiers[0].when: ")
    assert "overall" in row["message"]
    assert town.condition("Stalled") == ("True", "Invalid")


def test_what_serves_stays_where_a_later_spec_is_invalid(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    served = town.adapter()
    town.objects.apply(town.text(("overall >= 6", "overal >= 6")))
    town.pass_over()
    assert (town.adapter(), town.status()["digest"], len(town.kubeflow.runs)) == (served, served, 1)
    town.objects.apply(town.text())
    town.pass_over()
    assert (town.condition("Valid"), town.condition("Ready")) == (("True", "Valid"), ("True", "Promoted"))
    assert len(town.kubeflow.runs) == 1


def test_what_the_gates_rejected_is_not_tried_again_before_something_changes(town: Town) -> None:
    town.objects.apply(town.text())
    town.through(good=False)
    assert (town.status()["phase"], town.adapter()) == ("Rejected", None)
    assert town.condition("Judged") == ("True", "Rejected")
    town.time += 10 * 24 * 3600
    town.pass_over()
    assert len(town.kubeflow.runs) == 1
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 4}\n  gates:")))
    town.through()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Promoted")


@pytest.mark.parametrize("kind", ["fault", "stopped"])
def test_a_fault_is_tried_again_after_pauses_that_grow(town: Town, kind: str) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    for attempt in range(3):
        town.fail(f"run-{attempt + 1}", kind, "the node went away")
        town.pass_over()
        assert town.status()["phase"] == "Retrying"
        town.time += 30.0 * 2**attempt - 1
        town.pass_over()
        assert len(town.kubeflow.runs) == attempt + 1
        town.time += 2
        town.pass_over()
        assert (len(town.kubeflow.runs), town.status()["phase"]) == (attempt + 2, "Running")
    town.play("run-4")
    town.pass_over()
    assert town.status()["phase"] == "Promoted"


def test_bad_input_waits_for_somebody_to_mend_it(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.fail("run-1", "input", "labels.jsonl:3: no score", step="label")
    for _ in range(3):
        town.time += 7200
        town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "BadInput")
    assert town.condition("Labeled") == ("False", "Failed")
    town.labels.write_text('{"id": "2"}\n')  # new data under the same name are other inputs
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_run_that_somebody_ended_is_not_started_again(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.kubeflow.cancel("run-1")
    town.pass_over()
    town.time += 7200
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "Cancelled")


def test_a_pod_that_ended_without_a_word_is_a_fault(town: Town) -> None:
    town.objects.apply(town.text())
    town.pass_over()
    town.end(town.kubeflow.runs["run-1"], "FAILED")
    town.pass_over()
    assert (town.status()["phase"], "without a word" in str(town.status()["conditions"])) == ("Retrying", True)
