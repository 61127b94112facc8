"""The process around the passes: the queue, what a watch tells, metrics, events, and `operator --once`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from distillery.components.artifacts.channel import read_channel
from distillery.components.artifacts.drift import Look, read_drift_log
from distillery.components.store import Store
from distillery.components.store.layout import drift_key
from distillery.filters.errors import Stopped
from distillery.pipelines.operator.kubernetes import event
from distillery.pipelines.operator.main import Operator
from distillery.pipelines.operator.metrics import Metrics
from distillery.pipelines.operator.queue import Queue
from distillery.pipelines.operator.status import Told, transitions
from tests.operator.world import Objects, Town

A, B = ("distillery", "a"), ("distillery", "b")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_object_is_taken_when_it_is_due_and_by_one_worker_at_a_time() -> None:
    clock = Clock()
    queue = Queue(clock)
    queue.add(A, 10.0)
    queue.add(B)
    assert [queue.take(wait=False), queue.take(wait=False)] == [B, None]
    clock.now = 10.0
    assert queue.take(wait=False) == A
    queue.add(A)
    assert queue.take(wait=False) is None, "somebody looks at it"
    queue.done(A)
    assert [queue.take(wait=False), queue.take(wait=False)] == [A, None]


def test_what_is_wanted_sooner_is_taken_once() -> None:
    clock = Clock()
    queue = Queue(clock)
    for seconds in (300.0, 5.0, 0.0, 7.0):
        queue.add(A, seconds)
    assert queue.take(wait=False) == A
    queue.done(A)
    clock.now = 1000.0
    assert queue.take(wait=False) is None


def test_an_object_that_is_looked_at_holds_up_no_other() -> None:
    queue = Queue(Clock())
    queue.add(A)
    assert queue.take(wait=False) == A
    queue.add(A)
    queue.add(B)
    assert queue.take(wait=False) == B


def test_a_queue_that_is_closed_lets_its_workers_go() -> None:
    queue = Queue()
    queue.close()
    assert queue.take() is None


def test_our_own_status_is_no_news_and_a_change_or_a_deletion_is(town: Town) -> None:
    operator = Operator(town.world(), "distillery")
    value = town.objects.apply(town.text())

    def told(*, deleted: bool = False) -> bool:
        operator.changed(value, deleted=deleted)
        if key := operator.queue.take(wait=False):
            operator.queue.done(key)
        return key is not None

    assert told()
    value["status"] = {"phase": "Running"}
    value["metadata"]["resourceVersion"] = "7"
    assert not told()
    value["spec"]["description"] = "Another text."
    assert told()
    value["metadata"]["annotations"] = {"llm-distillery.io/by": "ann"}
    assert told()
    assert told(deleted=True)


def test_an_api_server_that_is_away_costs_time_alone(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.objects.apply(town.text())
    operator = Operator(town.world(), "distillery")

    def away(*_: str) -> Any:
        raise Stopped("Kubernetes can't be reached (ConnectionError)", hint="it goes on")

    get, town.objects.get = town.objects.get, away  # type: ignore[method-assign]
    assert operator.look(("distillery", "demo")) is None
    assert "can't be reached" in capsys.readouterr().err
    town.objects.get = get  # type: ignore[method-assign]
    passed = operator.look(("distillery", "demo"))
    assert passed
    assert passed.status["phase"] == "Running"


def test_an_object_that_is_gone_when_it_is_looked_at_is_noted_as_deleted(town: Town) -> None:
    town.objects.apply(town.text())
    operator = Operator(town.world(), "distillery")
    operator.look(("distillery", "demo"))
    del town.objects.objects["distillery", "demo"]
    assert operator.look(("distillery", "demo")) is None
    town.play("run-1")
    assert town.adapter() is None


def test_objects_of_other_namespaces_are_not_taken_for_deleted(town: Town) -> None:
    town.objects.apply(town.text(), namespace="elsewhere")
    town.pass_over(namespace="elsewhere")
    Operator(town.world(), "distillery").listed()  # of one namespace: it does not see the other's
    town.objects.objects.clear()
    Operator(town.world(), "distillery").listed()
    town.play("run-1")
    assert town.adapter()


def test_one_event_a_transition(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    reasons = [told.reason for told in town.objects.events.values()]
    assert len(reasons) == len(set(reasons)), reasons
    assert {"Valid", "Labeled", "Trained", "Judged", "Promoted", "Ready", "ReadyRunning"} <= set(reasons)


def test_the_same_event_has_the_same_name_and_another_generation_another(town: Town) -> None:
    value = town.objects.apply(town.text())
    told = Told("Normal", "Ready", "x")
    first, later = event(value, told, "2027-01-15T08:00:00Z"), event(value, told, "2027-01-15T09:00:00Z")
    assert first["metadata"]["name"] == later["metadata"]["name"]
    value["metadata"]["generation"] = 2
    assert event(value, told, "2027-01-15T09:00:00Z")["metadata"]["name"] != first["metadata"]["name"]
    assert first["involvedObject"]["uid"] == "uid-demo"


def test_a_message_alone_is_no_transition() -> None:
    before = {"conditions": [{"type": "Ready", "status": "False", "reason": "Retrying", "message": "in 30 s"}]}
    after = {"conditions": [{"type": "Ready", "status": "False", "reason": "Retrying", "message": "in 20 s"}]}
    assert transitions(before, after) == []


def test_metrics_count_each_run_once(town: Town) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    operator = Operator(town.world(), "distillery", metrics)
    town.objects.apply(town.text())
    operator.look(("distillery", "demo"))
    town.play("run-1")
    for _ in range(3):
        operator.look(("distillery", "demo"))
    labels = {"namespace": "distillery", "filter": "demo"}
    assert registry.get_sample_value("distillery_runs_total", {"outcome": "promoted"}) == 1
    assert registry.get_sample_value("distillery_verdicts_total", {"verdict": "passed"}) == 1
    assert registry.get_sample_value("distillery_labels_usd", labels) == 1.25
    assert registry.get_sample_value("distillery_test_mae", labels) == 0.5
    assert registry.get_sample_value("distillery_filter_ready", labels) == 1
    assert registry.get_sample_value("distillery_reconcile_seconds_count") == 4
    town.kubeflow.failing = Stopped("away", hint="later")
    operator.world.seen.runs.clear()
    operator.look(("distillery", "demo"))
    assert registry.get_sample_value("distillery_reconcile_errors_total", {"reason": "KubeflowUnreachable"}) == 1
    metrics.forget("distillery/demo")
    assert registry.get_sample_value("distillery_filter_ready", labels) is None


def test_drifted_is_kept_as_who_measures_it_wrote_it(town: Town) -> None:
    value = town.objects.apply(town.text())
    row = {"type": "Drifted", "status": "True", "reason": "Moved", "message": "m", "lastTransitionTime": "2027-01-01T00:00:00Z"}
    value["status"] = {"conditions": [row]}
    town.through()
    assert row in town.status()["conditions"]


def test_drifted_is_what_the_last_look_at_the_serving_adapter_says(town: Town) -> None:
    town.objects.apply(town.text())
    town.through()
    adapter = read_channel(town.store, "demo", "production").channel.adapter
    assert adapter

    def drifted() -> list[tuple[str, str]]:
        rows = town.status()["conditions"]
        return [(row["status"], row["reason"]) for row in rows if row["type"] == "Drifted"]

    def look(number: int, *features: str) -> None:
        log = read_drift_log(town.store, "demo", adapter)
        look = Look(
            job=f"{number}" * 64, scores="s", at="t", n=500, number=number, reference="test", drifted=[*features], psi=0.5
        )
        log.model_copy(update={"looks": [look, *log.looks]}).put(town.store, drift_key("demo", adapter))
        town.pass_over()

    assert drifted() == []
    look(1)
    assert drifted() == [("False", "ScoresSteady")]
    look(2, "readiness")
    assert drifted() == [("True", "ScoresDrifted")]
    told = [each for each in town.objects.events.values() if "Drifted" in each.reason]
    assert [(each.kind, each.reason) for each in told] == [("Warning", "ScoresDrifted")]
    (Path(town.store.uri.removeprefix("file://")) / drift_key("demo", adapter)).unlink()  # as of another adapter
    town.pass_over()
    assert drifted() == []


def once(town: Town, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    from distillery.pipelines.cli import main as cli
    from distillery.pipelines.cli import operator as command
    from distillery.pipelines.operator import kubernetes

    monkeypatch.setattr(command, "store_address", lambda store: town.store.uri)
    monkeypatch.setattr(command, "_connect", lambda endpoint, namespace: lambda: town.kubeflow)
    of_kind = {"filters": town.objects, "scorings": Objects()}
    monkeypatch.setattr(kubernetes, "Cluster", lambda namespace, plural="filters": of_kind[plural])
    monkeypatch.setattr(sys, "argv", ["distillery", "operator", "--once", *more])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_once_looks_at_each_object_once(
    town: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    town.objects.apply(town.text())
    town.objects.apply(town.text(("name: demo", "name: other"), ("overall >= 6", "overal >= 6")))
    assert once(town, monkeypatch, "--json") == 0
    found = {row["object"]: row for row in json.loads(capsys.readouterr().out)["objects"]}
    assert found["distillery/demo"]["done"] == ["Adopt", "Plan", "Adopt", "Start"]
    assert found["distillery/other"]["trouble"]["reason"] == "Invalid"
    assert once(town, monkeypatch) == 0
    assert "Running" in capsys.readouterr().out
    assert len(town.kubeflow.runs) == 1


def test_once_ends_with_1_where_kubeflow_is_away(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.objects.apply(town.text())
    town.kubeflow.failing = Stopped("Kubeflow can't be reached", hint="check --endpoint")
    assert once(town, monkeypatch) == 1


def test_ten_filters_at_once_all_settle_with_a_run_each(town: Town) -> None:
    for number in range(10):
        town.objects.apply(town.text(("name: demo", f"name: town-{number}")))
    operator = Operator(town.world(), "distillery")
    for value in operator.listed():
        operator.changed(value)
    while key := operator.queue.take(wait=False):
        operator.look(key)
        operator.queue.done(key)
    assert len(town.kubeflow.runs) == 10
    assert {value["status"]["phase"] for value in town.objects.list()} == {"Running"}


def test_an_object_for_which_nothing_goes_on_costs_a_handful_of_requests(town: Town) -> None:
    """What pipelines/operator/README.md says: no write, nothing asked of Kubeflow, five reads of the store at most."""
    asked: list[str] = []

    class Counted(Store):
        def current(self, key: str, **more: Any) -> Any:
            asked.append(key)
            return super().current(key, **more)

        def get(self, key: str, **more: Any) -> Any:
            asked.append(key)
            return super().get(key, **more)

        def exists(self, key: str) -> bool:
            asked.append(key)
            return super().exists(key)

    world = town.world(Counted(town.store._objects))
    town.objects.apply(town.text())
    town.through()
    town.pass_over(world=world)
    asked.clear()
    writes = town.objects.writes
    town.kubeflow.failing = AssertionError("Kubeflow is asked")
    assert town.pass_over(world=world).trouble is None
    assert len(asked) <= 5, asked
    assert town.objects.writes == writes
