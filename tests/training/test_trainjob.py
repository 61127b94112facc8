"""A TrainJob as the API server would see it: what it asks for, when it is adopted, how it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.progress import Reporter
from distillery.components.store import open_store
from distillery.components.training import trainjob, trainjob_api
from distillery.components.training.launch import launch_training
from distillery.components.training.trainjob import job_name, train_job, work_off
from distillery.components.training.trainjob_api import Api
from distillery.components.training.worker_progress import SECONDS, follow_file, relay_line
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.manifests.checks import wrong
from tests.training.conftest import Notes, filter_of
from tests.training.fake_api import ARGUMENTS, EVENT, INPUTS, STORE, FakeApi, at, pod, when


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainjob, "POLL_SECONDS", 0.01)
    for name in ("QUEUE", "TORCH_RESOURCES", "TORCH_NODES"):
        monkeypatch.delenv(f"DISTILLERY_{name}", raising=False)
    monkeypatch.setenv("DISTILLERY_IMAGE_TORCH", "localhost/distillery-torch:0123")


@pytest.fixture
def flt() -> Filter:
    return filter_of(Path("/models/tiny"), nodes=2)


def test_the_trainjob_is_what_the_runtime_wants(flt: Filter) -> None:
    body = train_job(flt, INPUTS, STORE, ARGUMENTS, gpus=0, namespace="distillery")
    labels = {
        "app.kubernetes.io/part-of": "llm-distillery",
        "app.kubernetes.io/component": "training",
        "llm-distillery.io/filter": "tiny",
    }
    assert body == {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {
            "name": "train-tiny-9189d745bae6",
            "namespace": "distillery",
            "labels": labels,
            "annotations": {"llm-distillery.io/inputs": INPUTS},
        },
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "distillery-torch"},
            "labels": labels,
            "trainer": {
                "image": "localhost/distillery-torch:0123",
                "command": ["python", "-m", "distillery.components.training.worker"],
                "args": ARGUMENTS,
                "numNodes": 2,
                "numProcPerNode": 1,
            },
        },
    }
    assert wrong([body]) == []


def test_gpus_nodes_and_queue_are_the_clusters(flt: Filter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_QUEUE", "distillery")
    monkeypatch.setenv("DISTILLERY_TORCH_NODES", '{"pool": "gpu"}')
    monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", '{"limits": {"memory": "64Gi"}}')
    body = train_job(flt, INPUTS, STORE, ARGUMENTS, gpus=4, namespace="distillery")
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "distillery"
    assert body["spec"]["labels"]["kueue.x-k8s.io/queue-name"] == "distillery"
    assert body["spec"]["trainer"]["numProcPerNode"] == 4
    assert body["spec"]["trainer"]["resourcesPerNode"] == {
        "requests": {"cpu": "200m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "64Gi", "nvidia.com/gpu": "4"},
    }
    assert body["spec"]["podSpecOverrides"] == [{"targetJobs": [{"name": "node"}], "nodeSelector": {"pool": "gpu"}}]
    assert wrong([body]) == []


def test_its_name_fits_whatever_the_filter_is_called(flt: Filter) -> None:
    name = "a" * 27 + "-" + "b" * 30
    long = flt.model_copy(update={"metadata": flt.metadata.model_copy(update={"name": name})})
    assert job_name(long, INPUTS, STORE) == f"train-{'a' * 27}-9189d745bae6"
    assert len(f"{job_name(long, INPUTS, STORE)}-node-0-1023") <= 63


def test_each_store_has_a_trainjob_of_its_own(flt: Filter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in another store would fill that store, and end when its own step is cancelled."""
    from distillery.components.training import launch as trainer

    made: list[dict[str, Any]] = []
    looks = iter([None, StepRecord.of("train", {}, {}, [])] * 3)
    monkeypatch.setattr(trainer, "resolve_base", lambda *_: SimpleNamespace(digest="0" * 64, path=tmp_path, ref="tiny"))
    monkeypatch.setattr(trainer, "body_in", lambda *_: None)
    monkeypatch.setattr(trainer, "train_need", lambda *_: SimpleNamespace(total=2**33))
    monkeypatch.setattr(trainer, "look_up", lambda *_, **__: next(looks))
    monkeypatch.setattr(trainjob_api, "Api", MagicMock())
    monkeypatch.setattr(trainjob, "work_off", lambda api, body, *_, **__: made.append(body))
    for name in ("one", "two", "one"):
        launch_training("trainjob", open_store(str(tmp_path / name)), flt, "k", split="s")
    names = [body["metadata"]["name"] for body in made]
    assert names[0] == names[2] != names[1]
    inputs = {body["metadata"]["annotations"]["llm-distillery.io/inputs"] for body in made}
    assert len(inputs) == 1  # what is trained, and its record, know nothing of the store


def test_no_image_no_trainjob(flt: Filter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTILLERY_IMAGE_TORCH")
    with pytest.raises(InputError, match="DISTILLERY_IMAGE_TORCH"):
        train_job(flt, INPUTS, STORE, ARGUMENTS, gpus=0, namespace="distillery")


@pytest.fixture
def body(flt: Filter) -> dict[str, Any]:
    return train_job(flt, INPUTS, STORE, ARGUMENTS, gpus=0, namespace="distillery")


def test_it_is_made_followed_and_deleted(body: dict[str, Any]) -> None:
    def working(api: FakeApi, name: str) -> None:
        api.podlist = [pod("a", 0), pod("b", 1)]
        api.logs = {
            "a": [
                at(1, "some warning"),
                at(2, {**EVENT, "kind": "note", "text": "precision fp32"}),
                at(3, {**EVENT, "kind": "progress", "done": 5, "total": 10, "unit": "articles", "facts": {}}),
            ],
            "b": [at(1, {**EVENT, "kind": "note", "text": "never said: not the first worker"})],
        }

    api, said = FakeApi(working, lambda *_: None, when("Complete")), Notes()
    work_off(api, body, said)
    name = body["metadata"]["name"]
    assert (api.made, api.deleted, api.jobs) == ([name], [name], {})
    assert said.notes == [f"TrainJob {name} of 2 nodes created", "precision fp32"]
    assert said.calls == [(5, 10, "articles", {})]


def test_one_that_works_already_is_adopted(body: dict[str, Any]) -> None:
    name = body["metadata"]["name"]
    api, said = FakeApi(), Notes()
    api.add(name)
    looks = iter(range(3))
    plain = api.get

    def get(asked: str) -> dict[str, Any] | None:
        if next(looks, None) is None:
            api.add(name, when("Complete"))
        return plain(asked)

    api.get = get  # type: ignore[method-assign]
    work_off(api, body, said)
    assert api.made == []
    assert api.deleted == [name]
    assert any("which was there already" in note for note in said.notes)


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_one_that_ended_is_replaced(kind: str, body: dict[str, Any]) -> None:
    name = body["metadata"]["name"]
    api = FakeApi(when("Complete"))
    api.add(name, when(kind))
    work_off(api, body, Notes())
    assert api.made == [name]
    assert api.deleted == [name, name]


def test_a_lost_worker_is_told(body: dict[str, Any]) -> None:
    def lost(api: FakeApi, name: str) -> None:
        api.podlist = [pod("a2", 0, restart=1), pod("b2", 1, restart=1)]

    api, said = FakeApi(lost, when("Complete")), Notes()
    work_off(api, body, said)
    assert "a worker was lost; restart 1, from the last checkpoint" in said.notes


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: too little memory"}]},
            "too little",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
    ],
)
def test_what_it_waits_for_is_told_once(found: dict[str, Any], said: str, body: dict[str, Any]) -> None:
    def waiting(api: FakeApi, name: str) -> None:
        api.podlist = [pod("a", 0, "Pending", **found)]

    api, notes = FakeApi(waiting, waiting, waiting, when("Complete")), Notes()
    work_off(api, body, notes)
    assert len([note for note in notes.notes if said in note]) == 1


def test_a_queue_is_told(body: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainjob, "QUEUED_AFTER", 0.0)

    def queued(api: FakeApi, name: str) -> None:
        created = (datetime.now(UTC) - timedelta(seconds=20)).isoformat().replace("+00:00", "Z")
        api.add(name, creationTimestamp=created, labels={trainjob.QUEUE_LABEL: "gpus"})

    api, said = FakeApi(queued, queued, when("Complete")), Notes()
    work_off(api, body, said)
    assert len([note for note in said.notes if note.endswith("waits: for the queue gpus")]) == 1


def test_a_cluster_without_trainer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from distillery.components.remote import kubernetes as kube

    def absent(*_: object, **__: object) -> None:
        raise KeyError("404 page not found")

    monkeypatch.setattr(kube, "ask", absent)
    for name in ("custom", "core"):
        monkeypatch.setattr(kube, name, MagicMock())
    with pytest.raises(InputError, match="trainer: this cluster has no TrainJobs; install Kubeflow Trainer"):
        trainjob.sweep(Api("distillery"), "x")


def failing(row: dict[str, Any], index: int = 0) -> Callable[[FakeApi, str], None]:
    def fail(api: FakeApi, name: str) -> None:
        api.podlist = [pod("a", index, "Failed")]
        api.logs = {"a": [at(1, row)]}
        api.add(name, when("Failed", "reached max restarts"))

    return fail


def test_bad_input_is_the_steps_own(body: dict[str, Any]) -> None:
    words = {"what": "no folder /x", "where": "student.baseModel", "hint": "push it"}
    api = FakeApi(failing({"error": words, "input": True}))
    with pytest.raises(InputError, match=r"student.baseModel: no folder /x; push it"):
        work_off(api, body, Notes())
    assert api.jobs == {}


@pytest.mark.parametrize("index", [0, 1])
def test_a_failure_names_what_to_do_and_leaves_nothing(index: int, body: dict[str, Any]) -> None:
    words = {"what": "worker 1 failed: killed by SIGKILL", "where": "", "hint": ""}
    api = FakeApi(failing({"error": words, "input": False}, index))
    with pytest.raises(Stopped, match=r"failed: worker 1 failed: killed by SIGKILL; start the training again"):
        work_off(api, body, Notes())
    assert api.jobs == {}


def test_a_failure_without_words_gives_the_clusters(body: dict[str, Any]) -> None:
    api = FakeApi(when("Failed", "jobset failed due to reaching max number of restarts"))
    with pytest.raises(Stopped, match="max number of restarts"):
        work_off(api, body, Notes())


def test_deleted_by_another_run_it_is_done_or_it_stops(body: dict[str, Any]) -> None:
    def vanish(api: FakeApi, name: str) -> None:
        api.jobs.pop(name)

    work_off(FakeApi(vanish), body, Notes(), done=lambda: True)
    api = FakeApi(vanish)
    with pytest.raises(Stopped, match="was deleted, by a run that was cancelled or by hand"):
        work_off(api, body, Notes(), done=lambda: False)
    assert api.deleted == []  # by now there may be another's of that name


def test_cancelled_it_is_deleted(body: dict[str, Any]) -> None:
    def told(api: FakeApi, name: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    api, before = FakeApi(told), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        work_off(api, body, Notes())
    assert ended.value.code == 143
    assert api.jobs == {}
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_a_thread_no_signal_is_caught(body: dict[str, Any]) -> None:
    api = FakeApi(when("Complete"))
    thread = threading.Thread(target=work_off, args=(api, body, Notes()))
    thread.start()
    thread.join(5)
    assert api.jobs == {}


def test_what_killed_steps_left_is_swept_up(body: dict[str, Any]) -> None:
    api = FakeApi(when("Complete"))
    api.add("old", when("Failed", ago=2))
    api.add("recent", when("Complete", ago=0.5))
    api.add("working")
    work_off(api, body, Notes())
    assert set(api.jobs) == {"recent", "working"}


@pytest.mark.parametrize("hours", [-2.0, 2.0])
def test_what_is_swept_up_is_told_by_the_clusters_clock(body: dict[str, Any], hours: float) -> None:
    """To this machine the cluster's clock is hours behind, or ahead."""
    api = FakeApi(when("Complete", ago=hours))
    api.add("old", when("Failed", ago=hours + 2))
    api.add("recent", when("Complete", ago=hours + 0.5))
    api.add("working", creationTimestamp=when("", ago=hours)["lastTransitionTime"])
    trainjob.sweep(api, "other")  # type: ignore[arg-type]
    assert set(api.jobs) == {"recent", "working"}


def test_no_such_trainer(flt: Filter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trainer: 'spark' is no trainer; one of pod, trainjob"):
        launch_training("spark", open_store(str(tmp_path)), flt, "k", split="s")


def test_more_gpus_than_are_here(flt: Filter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gpus: 64 GPUs were asked for, \d are here"):
        launch_training("pod", open_store(str(tmp_path)), flt, "k", split="s", gpus=64)


def test_progress_goes_through_a_file(tmp_path: Path) -> None:
    said = Notes()
    with follow_file(tmp_path / "lines", said), open(tmp_path / "lines", "a") as file:
        lines = Reporter("train", file, file, seconds=SECONDS)
        lines(1, 2, "articles", loss=0.5)
        lines(1, 2, "articles", loss=0.4)
        lines.note("epoch 1")
        print("not ours", file=file, flush=True)
        lines(2, 2, "articles")
    assert said.calls == [(1, 2, "articles", {"loss": 0.5}), (2, 2, "articles", {})]
    assert said.notes == ["epoch 1"]


@pytest.mark.parametrize("line", ["", "text", "[1]", "1", '{"progress": 3}', "{", '{"kind": "progress"}'])
def test_other_lines_say_nothing(line: str) -> None:
    said = Notes()
    relay_line(line, said)
    assert (said.notes, said.calls) == ([], [])


def test_its_pods_get_the_memory_that_the_student_takes(flt: Filter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_IMAGE_TORCH", "localhost/torch:1")

    def resources(need: int, gpus: int = 0) -> Any:
        body = train_job(flt, INPUTS, STORE, ARGUMENTS, gpus=gpus, namespace="distillery", need=need)
        return body["spec"]["trainer"].get("resourcesPerNode")

    assert resources(0) is None
    assert resources(2**29) is None
    assert resources(7 * 2**30)["limits"] == {"cpu": "2", "memory": "7168Mi"}
    assert resources(7 * 2**30, gpus=2)["limits"]["memory"] == "14336Mi"
    monkeypatch.setenv("DISTILLERY_TORCH_RESOURCES", '{"limits": {"memory": "6Gi"}}')
    with pytest.raises(InputError, match=r"limits.memory is 6Gi, and training takes about 7\.0 GiB"):
        resources(7 * 2**30)


@pytest.mark.parametrize("key", ["state", "lastState"])
def test_a_worker_that_was_killed_for_memory_says_so(body: dict[str, Any], key: str) -> None:
    def killed(api: FakeApi, name: str) -> None:
        worker = pod("a", 0)
        worker["status"]["containerStatuses"] = [{key: {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]
        api.podlist = [worker]

    api = FakeApi(killed, when("Failed"))
    with pytest.raises(Stopped, match="a worker was killed for memory") as stopped:
        work_off(api, body, Notes())
    assert "limits.memory of DISTILLERY_TORCH_RESOURCES" in stopped.value.hint
