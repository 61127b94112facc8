"""TrainJobs, pods and logs as the API server would show them, for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from distillery.components.store import Digest

INPUTS, STORE = Digest("0123456789abcdef" * 4), "s3://distillery/main"
ARGUMENTS = ["--store", STORE, "--filter-key", "filters/tiny/v1/f.yaml", "--split", "5" * 64]


def when(kind: str, message: str = "", ago: float = 0.0) -> dict[str, Any]:
    moment = (datetime.now(UTC) - timedelta(hours=ago)).isoformat().replace("+00:00", "Z")
    return {"type": kind, "status": "True", "message": message, "lastTransitionTime": moment}


class FakeApi:
    """One namespace. `script` are what the next looks at the job find; a callable is called instead."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []
        self.deleted: list[str] = []
        self.podlist: list[dict[str, Any]] = []
        self.logs: dict[str, list[str]] = {}

    def add(self, name: str, *conditions: dict[str, Any], **metadata: Any) -> None:
        self.jobs[name] = {"metadata": {"name": name, **metadata}, "status": {"conditions": list(conditions)}}

    def get(self, name: str) -> dict[str, Any] | None:
        if name in self.jobs and self.made and self.script:
            step = self.script.pop(0)
            if callable(step):
                step(self, name)
            else:
                self.jobs[name]["status"]["conditions"] = [step]
        return self.jobs.get(name)

    def create(self, body: dict[str, Any]) -> None:
        self.made.append(body["metadata"]["name"])
        self.add(body["metadata"]["name"], creationTimestamp=datetime.now(UTC).isoformat())

    def delete(self, name: str) -> None:
        self.deleted.append(name)
        self.jobs.pop(name, None)

    def ours(self) -> list[dict[str, Any]]:
        return list(self.jobs.values())

    def pods(self, name: str) -> list[dict[str, Any]]:
        return self.podlist

    def log(self, pod: str, seconds: int) -> list[str]:
        return self.logs.get(pod, [])


def pod(name: str, index: int, phase: str = "Running", restart: int = 0, **status: Any) -> dict[str, Any]:
    labels = {"batch.kubernetes.io/job-completion-index": str(index), "jobset.sigs.k8s.io/restart-attempt": str(restart)}
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "status": {"phase": phase, **status}}


EVENT = {"at": 0.0, "step": "train"}  # what every event of a worker has


def at(second: int, row: dict[str, Any] | str) -> str:
    return f"2026-01-01T00:00:{second:02d}.000000000Z {row if isinstance(row, str) else json.dumps(row)}"
