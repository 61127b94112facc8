"""The limits of spec.retrain: schedule, cool-down and budget are waited for, and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.operator.growing import DAY, add, files_of, numbered, text
from tests.operator.test_oracle import PAID, message
from tests.operator.world import START, Town

pytestmark = pytest.mark.usefixtures("a_folder_is_as_good_as_a_prefix")


def at(town: Town, day: int, hour: int, minute: int = 0) -> None:
    town.time = datetime(2027, 1, 15 + day, hour, minute, tzinfo=UTC).timestamp()


def test_the_schedule_is_waited_for(grown: Callable[..., Town]) -> None:
    assert datetime.fromtimestamp(START, UTC).isoformat() == "2027-01-15T08:00:00+00:00"
    town = grown('schedule: "0 3 * * *"', *numbered(3, 2))
    assert town.condition("NewArticles") == ("True", "Scheduled")
    assert message(town, "NewArticles").endswith("not before 2027-01-16T03:00:00Z")
    at(town, 1, 2, 59)
    passed = town.pass_over()
    assert (len(town.kubeflow.runs), passed.seconds) == (1, 60.0)
    at(town, 1, 3, 1)
    town.through()
    assert len(town.kubeflow.runs) == 2
    add(town, "c", *numbered(5, 2))
    at(town, 1, 23)
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")[1]) == (2, "Scheduled")
    at(town, 4, 12)  # nobody looked for three days
    town.through()
    town.pass_over()
    assert len(town.kubeflow.runs) == 3


def test_the_cool_down_is_waited_for(grown: Callable[..., Town]) -> None:
    town = grown("coolDown: 7d", *numbered(3, 2))
    assert town.condition("NewArticles") == ("True", "CoolDown")
    assert message(town, "NewArticles") == "2 articles in 1 file are new; not before 2027-01-22T08:00:00Z"
    town.time += 7 * DAY - 60
    town.pass_over()
    assert len(town.kubeflow.runs) == 1
    town.time += 120
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_due_moment_within_the_cool_down_counts_when_that_is_over(grown: Callable[..., Town]) -> None:
    town = grown('schedule: "0 3 * * *", coolDown: 36h', *numbered(3, 2))
    at(town, 1, 3, 1)
    town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")[1]) == (1, "CoolDown")
    at(town, 1, 20, 1)
    town.pass_over()
    assert len(town.kubeflow.runs) == 2


def test_a_run_may_cost_its_own_budget_beside_what_was_spent_and_no_more_than_all_runs_together(town: Town) -> None:
    """The labels of the played run have cost 1.25 US dollars."""
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1, budget: 2.0", PAID, run="budget: 4.0"))
    town.through()
    for run, (file, budget) in enumerate([("b", 3.25), ("c", 3.25)], 2):
        add(town, file, *numbered(3 * run, 3))
        town.through()
        assert town.kubeflow.runs[f"run-{run}"].parameters["budget"] == budget
    town.objects.apply(text(town, "minNew: 1, budget: 4.0", PAID, run="budget: 4.0"))
    add(town, "d", *numbered(50, 3))
    town.through()
    assert town.kubeflow.runs["run-4"].parameters["budget"] == 4.0


def test_what_a_run_is_tried_again_with_is_the_budget_that_it_had(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1, budget: 2.0", PAID, run="budget: 9.0"))
    town.through()
    add(town, "b", *numbered(3, 3))
    town.pass_over()
    for attempt in range(2, 5):
        town.fail(f"run-{attempt}", "stopped", "the service is away", step="label")
        town.pass_over()
        add(town, f"more{attempt}", *numbered(10 * attempt, 3))
        town.time += 3600
        town.pass_over()
    assert [run.parameters["budget"] for run in town.kubeflow.runs.values()][1:] == [3.25] * 4


def reached(town: Town, run: str, limit: float) -> None:
    assert town.kubeflow.runs[run].parameters["budget"] == limit
    town.fail(run, "stopped", f"stopped: of the budget of ${limit:g} nothing is left", step="label", limit=limit)
    town.pass_over()


def test_a_run_that_reached_its_budget_is_not_tried_again_before_it_is_raised(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1", PAID, run="budget: 4.0"))
    town.pass_over()
    reached(town, "run-1", 4.0)
    for _ in range(3):
        town.time += DAY
        add(town, f"more{town.time:.0f}", *numbered(round(town.time), 3))
        assert town.pass_over().done == ()
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "BudgetReached")
    assert town.condition("Stalled") == ("True", "BudgetReached")
    assert town.condition("NewArticles") == ("True", "BudgetReached")
    town.objects.apply(text(town, "minNew: 1", PAID, run="budget: 6.0"))
    town.pass_over()
    assert town.kubeflow.runs["run-2"].parameters["budget"] == 6.0


def test_where_new_articles_may_cost_more_than_one_run_may_the_next_ones_go_on_within_the_limits(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 2, budget: 2.0, coolDown: 1d", PAID, run="budget: 6.0"))
    town.through()
    add(town, "b", *numbered(3, 9))
    town.time += 2 * DAY
    town.pass_over()
    for run, limit in (("run-2", 3.25), ("run-3", 5.25), ("run-4", 6.0)):
        reached(town, run, limit)
        assert town.pass_over().done == (), "not within a day"
        town.time += 1.1 * DAY
        town.pass_over()
    assert (len(town.kubeflow.runs), town.condition("NewArticles")) == (4, ("True", "BudgetReached"))
    assert all("a.jsonl" in files_of(town, run) for run in town.kubeflow.runs)


def test_a_higher_budget_of_new_articles_lets_the_same_run_go_on(town: Town) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 2, budget: 2.0, coolDown: 9d", PAID, run="budget: 9.0"))
    town.through()
    add(town, "b", *numbered(3, 9))
    town.time += 10 * DAY
    town.pass_over()
    reached(town, "run-2", 3.25)
    town.objects.apply(text(town, "minNew: 2, budget: 5.0, coolDown: 9d", PAID, run="budget: 9.0"))
    town.time += 60
    town.pass_over()
    assert town.kubeflow.runs["run-3"].parameters["budget"] == 6.25


def test_what_would_be_paid_without_a_budget_is_not_begun(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    add(town, "a", *numbered(0, 3))
    town.objects.apply(text(town, "minNew: 1", PAID, run="budget: 5.0"))
    town.through()
    monkeypatch.setattr("distillery.pipelines.operator.reconcile.what_is_due", lambda *_: ())
    town.objects.apply(text(town, "minNew: 1", PAID))
    town.pass_over()
    runs = len(town.kubeflow.runs)
    add(town, "b", *numbered(3, 3))
    town.pass_over()
    assert len(town.kubeflow.runs) == runs
    assert town.condition("NewArticles") == ("True", "NoBudget")
    assert town.condition("Ready") == ("True", "Promoted"), "what serves still does"
    town.objects.apply(text(town, "minNew: 1, budget: 2.0", PAID))
    town.pass_over()
    assert len(town.kubeflow.runs) == runs + 1
    assert town.kubeflow.runs[f"run-{runs + 1}"].parameters["budget"] == 3.25
