"""`distillery submit …` in this process, an API that behaves like Kubeflow's, an S3 server, and what a run's steps leave."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.remote import retry as outage
from distillery.components.runtime.events import Done, Event, Started
from distillery.components.store import Store, open_store
from distillery.pipelines import results as summary
from distillery.pipelines.cli import ending
from distillery.pipelines.cli import main as cli
from distillery.pipelines.cluster import claims, events
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.harness import label_rows, write_rows
from tests.store.conftest import s3_server, s3_uri  # noqa: F401 - fixtures

FILTER = "sustainability-technology"


@pytest.fixture
def fake() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as running:
        running.publish("distill-000000000001")
        yield running


@pytest.fixture
def store(s3_uri: str) -> Store:  # noqa: F811
    return open_store(s3_uri)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "my labels.jsonl", label_rows(5))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(claims, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(outage, "TELL_AFTER", -1.0)


@pytest.fixture
def command(
    fake: FakeKubeflow, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """`distillery submit …` in this process, with this Kubeflow and this store."""
    monkeypatch.setenv("KFP_ENDPOINT", fake.endpoint)
    monkeypatch.setenv("DISTILLERY_STORE", store.uri)

    def run(*arguments: str | Path) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["distillery", "submit", *map(str, arguments)])
        try:
            cli.main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


class Steps:
    """Plays the steps of a run: what real ones leave in the store, then the run's end."""

    def __init__(self, fake: FakeKubeflow, store: Store, *, decision: str = "promote", failure: dict[str, str] | None = None):
        self.fake, self.store, self.decision, self.failure = fake, store, decision, failure
        self.halfway: Callable[[], None] = lambda: None

    def start(self, run: str) -> None:
        threading.Thread(target=self.play, args=(run,), daemon=True).start()

    def step(self, run: str, name: str, outputs: dict[str, Any], *, events: bool = True) -> None:
        record = StepRecord.of(name, {}, outputs, [], {"seconds": 1.0})
        rows: list[Event] = [Started(n=1, at=time.time(), step=name), Done(n=2, at=time.time(), step=name, record=record)]
        record.put(self.store, f"runs/{run}/{name}.json")
        if events:
            text = "".join(row.to_line() for row in rows)
            self.store.put(f"runs/{run}/events/{name}.jsonl", text.encode())

    def play(self, run: str) -> None:
        self.step(run, "preflight", {"name": FILTER, "filter_key": "filters/x"})
        self.halfway()
        if self.failure:
            self.store.put(f"runs/{run}/failure.json", json.dumps(self.failure).encode())
            self.fake.runs[run]["state"] = "FAILED"
            return
        self.step(run, "train", {"adapter": "a" * 64}, events=False)  # the record alone is enough
        self.step(run, "gate", {"decision": self.decision, "verdict": "b" * 64})
        self.fake.runs[run]["state"] = "SUCCEEDED"


@pytest.fixture
def no_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    def brief(store: Store, uri: str, run: str, outputs: dict[str, Any], records: dict[str, Any]) -> dict[str, Any]:
        ended = {"verdict": outputs["decision"], "adapter": outputs["adapter"], "channel": "production"}
        return {**ended, "run": run, "steps": sorted(records)}

    monkeypatch.setattr(ending, "result_of", brief)
    monkeypatch.setattr(summary, "print_summary", lambda result, filter, store, channel: print(result["verdict"]))
