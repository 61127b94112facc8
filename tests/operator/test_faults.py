"""Whatever happens to a pass, one change is one run: killed at each write, two at once, one that wakes late, outages."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from distillery.components.store import Store, StoreError
from distillery.filters.errors import Stopped
from distillery.pipelines.operator.observe import Seen
from distillery.pipelines.operator.reconcile import World, reconcile
from tests.operator.world import Killed, Town


class Watched(Store):
    """A store that tells of each write before and after it."""

    def __init__(self, store: Store, told: Callable[[str], None]) -> None:
        super().__init__(store._objects)
        self.told = told

    def put(self, key: str, data: Any) -> None:
        self.told(f"put {key}")
        super().put(key, data)
        self.told(f"has put {key}")

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> None:
        self.told(f"put_if {key}")
        super().put_if(key, data, etag=etag)
        self.told(f"has put_if {key}")


class Fuse:
    """Kills the process at the n-th thing that it is about to write, or has written."""

    def __init__(self, at: int) -> None:
        self.left, self.what = at, ""

    def __call__(self, what: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.what = what
            raise Killed(what)


def to_the_end(town: Town, world: World) -> None:
    """Pass until nothing is done any more; the run ends as soon as there is one."""
    for _ in range(6):
        value = town.objects.get("distillery", "demo")
        assert value is not None
        reconcile(world, value)
        for run, one in list(town.kubeflow.runs.items()):
            if one.state == "RUNNING":
                town.play(run)


def four_at_once(town: Town) -> None:
    """Let four replicas look at the object in the same moment."""
    value = town.objects.get("distillery", "demo")
    assert value is not None
    gate = threading.Barrier(4)

    def replica() -> None:
        world = town.world()
        gate.wait()
        reconcile(world, value)

    threads = [threading.Thread(target=replica) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def killed_everywhere(town: Town, at: int) -> str:
    """Kill the operator at its n-th write, start it again, and let it come to the end; return where it was killed."""
    fuse = Fuse(at)
    town.kubeflow.before = town.objects.before = fuse
    with contextlib.suppress(Killed):
        to_the_end(town, town.world(Watched(town.store, fuse)))
    town.kubeflow.before = town.objects.before = lambda what: None
    to_the_end(town, town.world())
    return fuse.what


@pytest.mark.parametrize("at", range(1, 40))
def test_a_pass_that_is_killed_at_any_write_starts_nothing_twice(town: Town, at: int) -> None:
    town.objects.apply(town.text())
    killed_everywhere(town, at)
    assert len(town.kubeflow.runs) == 1
    assert (town.status()["phase"], town.status()["digest"]) == ("Promoted", town.adapter())
    assert town.condition("Ready") == ("True", "Promoted")


@pytest.mark.parametrize("at", range(1, 40))
def test_a_change_that_is_taken_up_by_a_killed_operator_is_one_run(town: Town, at: int) -> None:
    town.objects.apply(town.text())
    town.through()
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 4}\n  gates:")))
    killed_everywhere(town, at)
    assert len(town.kubeflow.runs) == 2
    assert (town.status()["observedGeneration"], town.status()["phase"]) == (2, "Promoted")


def test_there_are_as_many_writes_as_were_killed_at(town: Town) -> None:
    """Else the two tests above would kill at none of some kind."""
    told: list[str] = []
    town.objects.apply(town.text())
    town.kubeflow.before = town.objects.before = told.append
    to_the_end(town, town.world(Watched(town.store, told.append)))
    kinds = {" ".join(word.split("/")[0] for word in what.split(" ")) for what in told}
    assert {"status", "event", "run", "run is there", "put_if intents", "has put_if intents", "put_if runs"} <= kinds
    assert {"has put_if runs", "put filters", "has put filters"} <= kinds
    assert 15 < len(told) < 40


def test_two_replicas_at_once_start_one_run(town: Town) -> None:
    town.objects.apply(town.text())
    four_at_once(town)
    to_the_end(town, town.world())
    assert len(town.kubeflow.runs) == 1
    assert town.status()["phase"] == "Promoted"


def test_a_replica_that_wakes_up_late_starts_nothing(town: Town) -> None:
    """It stopped just before it claimed; meanwhile another one started the run, and the run has ended."""
    town.objects.apply(town.text())
    slept = []

    def sleep(what: str) -> None:
        if what.startswith("put_if runs/") and not slept:
            slept.append(what)
            to_the_end(town, town.world())

    late = town.world(Watched(town.store, sleep))
    to_the_end(town, late)
    assert slept
    assert len(town.kubeflow.runs) == 1
    assert town.status()["phase"] == "Promoted"


def test_an_old_event_that_is_replayed_changes_nothing(town: Town) -> None:
    """The object is read anew for each look, so what an event carried is not acted on; not even where it were."""
    old = town.objects.apply(town.text())
    town.through()
    town.objects.apply(town.text(("  gates:", "  training: {epochs: 4}\n  gates:")))
    town.through()
    runs = len(town.kubeflow.runs)
    for _ in range(3):
        to_the_end(town, town.world())
    assert (len(town.kubeflow.runs), old["metadata"]["generation"]) == (runs, 1)


def test_while_kubeflow_is_away_the_status_says_so_and_later_it_goes_on(town: Town) -> None:
    town.objects.apply(town.text())
    town.kubeflow.failing = Stopped("Kubeflow can't be reached", hint="check --endpoint")
    assert town.pass_over().trouble is not None
    assert town.status()["phase"] == "KubeflowUnreachable"
    assert town.condition("Ready")[0] == "Unknown"
    town.kubeflow.failing = None
    to_the_end(town, town.world())
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "Promoted")
    town.kubeflow.failing = Stopped("Kubeflow can't be reached", hint="check --endpoint")
    town.pass_over(world=town.world())
    assert town.status()["digest"] == town.adapter(), "what serves is still told"


def test_while_the_store_is_away_the_status_says_so_and_later_it_goes_on(town: Town) -> None:
    town.objects.apply(town.text())

    class Away(Store):
        def current(self, key: str, **more: Any) -> Any:
            raise StoreError("can't be reached", where=key) from ConnectionError()

    passed = town.pass_over(world=town.world(Away(town.store._objects)))
    assert passed.trouble is not None
    assert town.status()["phase"] == "StoreUnreachable"
    to_the_end(town, town.world())
    assert (len(town.kubeflow.runs), town.status()["phase"]) == (1, "Promoted")


POISON: list[dict[str, Any]] = [
    {"status": "a text"},
    {"status": {"conditions": "none", "phase": 7, "run": "x"}},
    {"status": {"conditions": [1, {"type": 5}, {"type": "Ready", "status": {}, "lastTransitionTime": 3}]}},
    {"status": {"conditions": {"Ready": True}, "mae": "much"}},
    {"spec": "a text"},
    {"spec": {"run": [], "dimensions": 5}},
    {"spec": None},
    {"annotations": {"llm-distillery.io/by": "x" * 10_000}},
    {"annotations": {"llm-distillery.io/by": {"a": 1}}},
    {"annotations": "none"},
]


@pytest.mark.parametrize("poison", POISON)
def test_an_object_that_nobody_expected_stops_no_other(town: Town, poison: dict[str, Any]) -> None:
    town.objects.apply(town.text())
    bad = town.objects.apply(town.text(("name: demo", "name: bad")))
    annotations = poison.get("annotations")
    if annotations is not None:
        bad["metadata"]["annotations"] = annotations
    bad.update({key: value for key, value in poison.items() if key != "annotations"})
    town.pass_over("bad")
    town.through()
    town.pass_over("bad")
    assert town.status()["phase"] == "Promoted"
    assert town.status("bad")["phase"] in ("Invalid", "Running", "Fault")


def test_a_pass_looks_again_where_another_was_first(town: Town) -> None:
    town.objects.apply(town.text())
    world = town.world()
    world.seen = Seen()
    first = town.pass_over(world=world)
    assert first.done == ("Adopt", "Plan", "Adopt", "Start")
