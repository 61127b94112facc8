"""Drift starts one run a finding where spec.retrain asks for it, and is told else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from distillery.components.artifacts.drift import DriftLog, Look
from distillery.components.store.layout import drift_key
from tests.operator.growing import DAY, numbered
from tests.operator.test_faults import killed_everywhere
from tests.operator.test_oracle import message
from tests.operator.world import Town

pytestmark = pytest.mark.usefixtures("a_folder_is_as_good_as_a_prefix")


def look(town: Town, *drifted: str) -> None:
    """Let a Scoring's pass have looked at what the serving adapter scores."""
    adapter = town.adapter()
    assert adapter

    def change(log: DriftLog | None) -> DriftLog:
        log = log or DriftLog(filter="demo", adapter=adapter)
        number = log.number + 1
        job = f"{number:064x}"
        found = Look(job=job, scores="s3://b/out", at="2027-01-15T08:00:00Z", n=500, number=number, reference="test",
                     drifted=list(drifted), psi=0.5)  # fmt: skip
        return log.model_copy(update={"looks": [found, *log.looks], "began": found.at})

    DriftLog.update(town.store, drift_key("demo", adapter), change)


def test_a_drift_is_told_and_starts_nothing_unasked(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 100", *numbered(3, 2))
    look(town, "readiness")
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("Drifted")) == (1, ("True", "ScoresDrifted"))


@pytest.mark.parametrize("come", [numbered(3, 2), []], ids=["new articles", "none"])
def test_a_drift_starts_one_run_however_often_it_is_seen(grown: Callable[..., Town], come: list[str]) -> None:
    town = grown('minNew: 100, schedule: "0 3 1 1 *", onDrift: retrain', *come)
    look(town, "readiness")
    town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Running")
    town.play("run-2", good=False)  # what serves stays, and goes on drifting
    for _ in range(3):
        look(town, "readiness")
        town.time += DAY
        town.pass_over(world=town.world())
    assert len(town.kubeflow.runs) == 2
    assert "ordered a run at 2027-01-15T08:00:00Z" in message(town, "Drifted")
    look(town)
    town.pass_over()
    look(town, "readiness")
    town.pass_over()
    assert len(town.kubeflow.runs) == 3, "it was steady in between, so this is another finding"


def test_a_drift_of_labels_that_somebody_gave_starts_one_run(town: Town) -> None:
    town.objects.apply(town.text(("  gates:", "  retrain: {onDrift: retrain}\n  gates:")))
    town.through()
    look(town, "readiness")
    for _ in range(3):
        town.pass_over()
        town.time += DAY
    assert len(town.kubeflow.runs) == 2
    town.play("run-2")
    for _ in range(3):
        town.pass_over()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (2, "Promoted")


def test_a_drift_waits_for_the_cool_down(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 100, coolDown: 7d, onDrift: retrain", *numbered(3, 2))
    look(town, "readiness")
    town.pass_over()
    assert len(town.kubeflow.runs) == 1
    assert "a run is ordered later: not before 2027-01-22T08:00:00Z" in message(town, "Drifted")
    town.time += 8 * DAY
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


@pytest.mark.parametrize("at", range(1, 40, 4))
def test_a_drift_that_a_killed_operator_has_seen_starts_one_run(grown: Callable[..., Town], at: int) -> None:
    town = grown("minNew: 100, onDrift: retrain", *numbered(3, 2))
    look(town, "readiness")
    killed_everywhere(town, at)
    assert len(town.kubeflow.runs) == 2
