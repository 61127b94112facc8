"""New articles start one run whatever is killed, asleep or there twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.operator.growing import add, numbered
from tests.operator.test_faults import Watched, four_at_once, killed_everywhere, to_the_end
from tests.operator.world import Town

pytestmark = pytest.mark.usefixtures("a_folder_is_as_good_as_a_prefix")


@pytest.mark.parametrize("at", range(1, 40))
def test_new_articles_that_a_killed_operator_has_seen_start_one_run(grown: Callable[..., Town], at: int) -> None:
    town = grown("minNew: 2")
    add(town, "b", *numbered(3, 2))
    killed_everywhere(town, at)
    assert len(town.kubeflow.runs) == 2
    assert town.condition("NewArticles") == ("False", "AllTaken")
    assert town.condition("Ready") == ("True", "Promoted")


def test_there_are_as_many_writes_as_were_killed_at(grown: Callable[..., Town]) -> None:
    town, told = grown("minNew: 2"), list[str]()
    add(town, "b", *numbered(3, 2))
    town.kubeflow.before = town.objects.before = told.append
    to_the_end(town, town.world(Watched(town.store, told.append)))
    kinds = {" ".join(word.split("/")[0] for word in what.split(" ")) for what in told}
    assert {"put listings", "has put listings", "put_if intents", "put_if runs", "run", "status"} <= kinds
    assert 15 < len(told) < 40


def test_replicas_that_see_new_articles_at_once_start_one_run(grown: Callable[..., Town]) -> None:
    town = grown("minNew: 2")
    add(town, "b", *numbered(3, 2))
    four_at_once(town)
    to_the_end(town, town.world())
    assert len(town.kubeflow.runs) == 2


def test_articles_that_come_while_a_replica_sleeps_before_its_claim_start_no_second_run(grown: Callable[..., Town]) -> None:
    """It ordered a run and stopped; another replica started that run, and more articles came."""
    town = grown("minNew: 2")
    add(town, "b", *numbered(3, 2))
    slept = []

    def sleep(what: str) -> None:
        if what.startswith("put_if runs/") and not slept:
            slept.append(what)
            add(town, "c", *numbered(5, 1))
            town.pass_over(world=town.world())

    town.pass_over(world=town.world(Watched(town.store, sleep)))
    assert slept
    assert len(town.kubeflow.runs) == 2
