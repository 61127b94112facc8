"""The parts of Kubernetes' API that scoring uses, played; and what tests make of a plan and its Job."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from distillery.components.runtime.progress import Progress
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.part import score_part
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store
from tests.scoring.test_score import FILTER, Reader

ADAPTER = "a" * 64
PLACE = Place("distillery", "localhost/image:1", "s3://b/main", "", {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})


class Jobs:
    """The part of the Batch API that is used; `pods` says what becomes of an index."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.created: list[str] = []
        self.on_read: Callable[[Any], None] = lambda job: None

    def create_namespaced_job(self, namespace: str, body: dict[str, Any], **_: Any) -> Any:
        from kubernetes.client.exceptions import ApiException

        name = body["metadata"]["name"]
        if name in self.jobs:
            raise ApiException(status=409, reason="Conflict")
        self.created.append(name)
        status = SimpleNamespace(completed_indexes=None, failed_indexes=None, ready=1, active=1, conditions=[])
        meta = SimpleNamespace(
            name=name,
            labels=body["metadata"]["labels"],
            annotations=body["metadata"]["annotations"],
            deletion_timestamp=None,
            creation_timestamp=len(self.created),
        )
        self.jobs[name] = SimpleNamespace(metadata=meta, status=status, spec=SimpleNamespace(suspend=False), body=body)
        return self.jobs[name]

    def read_namespaced_job(self, name: str, namespace: str, **_: Any) -> Any:
        from kubernetes.client.exceptions import ApiException

        if name not in self.jobs:
            raise ApiException(status=404, reason="Not Found")
        self.on_read(self.jobs[name])
        return self.jobs[name]

    def delete_namespaced_job(self, name: str, namespace: str, **_: Any) -> None:
        self.read_namespaced_job(name, namespace)
        del self.jobs[name]

    def list_namespaced_job(self, namespace: str, label_selector: str, **_: Any) -> Any:
        key, equals, value = label_selector.partition("=")
        labels = [(job, job.metadata.labels) for job in self.jobs.values()]
        return SimpleNamespace(items=[job for job, has in labels if (has.get(key) == value if equals else key in has)])


class Pods:
    def __init__(self) -> None:
        self.pods: list[Any] = []

    def list_namespaced_pod(self, namespace: str, label_selector: str, limit: int, **_: Any) -> Any:
        return SimpleNamespace(items=self.pods[:limit])


def end(job: Any, kind: str, message: str = "") -> None:
    job.status.conditions = [SimpleNamespace(type=kind, status="True", message=message, reason=kind)]
    job.status.ready = job.status.active = 0


def do(out: Store, plan: Plan, *indexes: int) -> None:
    for index in indexes:
        score_part(out, plan, index, FILTER, Reader)


class Said(Progress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done: list[tuple[int, float | str]] = []

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        self.done.append((done, facts["parts"]))

    def note(self, text: str) -> None:
        self.notes.append(text)


def dead_pod(code: int, message: str) -> Any:
    ended = SimpleNamespace(exit_code=code, message=message, reason="Error")
    status = SimpleNamespace(container_statuses=[SimpleNamespace(state=SimpleNamespace(terminated=ended, waiting=None))])
    return SimpleNamespace(metadata=SimpleNamespace(creation_timestamp=1), status=status)
