"""A lost node, or a Kubernetes API that is away, ends the step at most: the TrainJob outlives both."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from kubernetes.client.exceptions import ApiException

from distillery.components.remote import kubernetes as kube
from distillery.components.training import trainjob, trainjob_api
from distillery.components.training.trainjob import Follower, train_job, work_off
from distillery.filters.errors import InputError, Stopped
from tests.training.conftest import Notes, filter_of
from tests.training.fake_api import ARGUMENTS, EVENT, INPUTS, STORE, FakeApi, at, pod, when

AWAY = Stopped("Kubernetes answers 500", hint="the same command later goes on")
REFUSED = InputError("Kubernetes refuses: no", hint="give this account the project's Role")


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(trainjob, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("DISTILLERY_IMAGE_TORCH", "localhost/distillery-torch:0123")
    return train_job(filter_of(Path("/models/tiny"), nodes=2), INPUTS, STORE, ARGUMENTS, gpus=0, namespace="distillery")


def test_a_lost_nodes_log_does_not_end_the_training(body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pod is Running until the cluster gives it up, and the API answers 500 for its log."""
    jobs, core, name = MagicMock(), MagicMock(), body["metadata"]["name"]
    working: dict[str, Any] = {"metadata": {"name": name}, "status": {}}
    jobs.list_namespaced_custom_object.return_value = {"items": []}
    jobs.get_namespaced_custom_object.side_effect = [
        ApiException(status=404, reason="Not Found"),
        working,
        working,
        {**working, "status": {"conditions": [when("Complete")]}},
    ]
    core.list_namespaced_pod.return_value.items = [pod("a", 0)]
    core.api_client.sanitize_for_serialization = lambda found: found
    core.read_namespaced_pod_log.side_effect = ApiException(status=500, reason="no route to host")
    monkeypatch.setattr(kube, "custom", lambda: jobs)
    monkeypatch.setattr(kube, "core", lambda: core)
    monkeypatch.setattr(trainjob_api, "LOG_SECONDS", 0.0)
    work_off(trainjob_api.Api("distillery"), body, Notes())
    assert core.read_namespaced_pod_log.call_count == 3
    assert jobs.delete_namespaced_custom_object.call_count == 1


@pytest.mark.parametrize("error", [AWAY, REFUSED])
def test_an_api_that_is_away_leaves_the_trainjob_to_be_followed_on(error: Exception, body: dict[str, Any]) -> None:
    def away(*_: object) -> None:
        raise error

    api, name, said = FakeApi(lambda *_: None, away), body["metadata"]["name"], Notes()
    with pytest.raises(type(error), match=f"{error}; TrainJob {name} works on, and the training started again"):
        work_off(api, body, Notes())
    assert (api.deleted, list(api.jobs)) == ([], [name])
    api.script = [lambda *_: None, when("Complete")]
    work_off(api, body, said)
    assert (api.made, api.jobs) == ([name], {})
    assert said.notes == [f"goes on following TrainJob {name}, which was there already"]


def test_away_before_there_is_a_trainjob_it_says_only_that(body: dict[str, Any]) -> None:
    api = FakeApi()

    def away() -> None:
        raise AWAY

    api.ours = away  # type: ignore[method-assign, assignment]
    with pytest.raises(Stopped, match=r"^Kubernetes answers 500; the same command later goes on$"):
        work_off(api, body, Notes())


@pytest.mark.parametrize("ended", ["Complete", "Failed"])
def test_how_it_ended_counts_though_it_cannot_be_deleted(ended: str, body: dict[str, Any]) -> None:
    api, said = FakeApi(when(ended, "too many restarts")), Notes()

    def away(name: str) -> None:
        raise AWAY

    api.delete = away  # type: ignore[method-assign]
    if ended == "Complete":
        work_off(api, body, said)
    else:
        with pytest.raises(Stopped, match="failed: too many restarts"):
            work_off(api, body, said)
    assert said.notes[-1].endswith("is left for the next training to delete: Kubernetes answers 500")


def test_what_a_worker_says_while_its_log_cannot_be_had_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    api, said, now, asked = FakeApi(), Notes(), [0.0], []

    def log(name: str, seconds: int) -> list[str]:
        asked.append(seconds)
        return api.logs.get(name, [])

    api.podlist, api.logs, api.log = [pod("a", 0)], {"a": [at(1, {**EVENT, "kind": "note", "text": "one"})]}, log  # type: ignore[method-assign]
    monkeypatch.setattr(trainjob.time, "monotonic", lambda: now[0])
    follower, job = Follower(api, "job", said), {"metadata": {"name": "job"}}  # type: ignore[arg-type]
    follower.look(job)
    lines = [at(1, {**EVENT, "kind": "note", "text": "one"}), at(2, {**EVENT, "kind": "note", "text": "two"})]
    for now[0], api.logs in ((100.0, {}), (200.0, {}), (300.0, {"a": lines}), (301.0, {"a": lines})):
        follower.look(job)
    assert asked == [86_400, 110, 210, 310, 11]
    assert said.notes == ["one", "two"]
