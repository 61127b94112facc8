"""The agent of a node: one base model for its processes, its last words, and an end that it is told of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.filter import publish_filter
from distillery.components.store import NotFound, Store
from distillery.components.student.mirror import push
from distillery.components.student.resolve import resolve_base
from distillery.components.training import worker
from distillery.components.training.worker_progress import AGAIN, LostOthers
from distillery.filters.errors import Stopped
from distillery.filters.filter import Filter
from tests.training.conftest import filter_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the cache of base models held at each start of processes; none starts here."""
    found: list[list[str]] = []
    cache = tmp_path / "cache"
    monkeypatch.setenv("DISTILLERY_CACHE", str(cache))
    for name in ("RANK", "DISTILLERY_MODELS", worker.ERROR_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(worker, "limit_threads", lambda: None)
    monkeypatch.setattr(worker, "run_workers", lambda _: found.append(sorted(path.name for path in cache.glob("models/*"))))
    return found


def named(base: str) -> Filter:
    document = filter_of(Path("/x")).model_dump()
    document["spec"]["student"] |= {"baseModel": base, "revision": "v1"}
    return Filter.model_validate(document)


def arguments(store: Store, key: str) -> list[str]:
    return ["--store", store.uri, "--filter-key", key, "--split", "0" * 64]


def test_the_agent_fetches_the_base_before_its_processes_start(
    store: Store, tiny_encoder: Path, launched: list[list[str]]
) -> None:
    base = resolve_base(str(tiny_encoder))
    push(store, base, "some/model", "v1")
    assert worker.main(arguments(store, publish_filter(store, named("some/model")))) == 0
    assert launched == [[base.digest]]


def test_a_base_that_cannot_be_had_starts_no_process(
    store: Store, launched: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert worker.main(arguments(store, publish_filter(store, named("package://nowhere")))) == 2
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["input"] is True
    assert "models push package://nowhere --revision v1 --store" in said["error"]["hint"]
    assert launched == []


def test_any_fault_of_the_agent_is_told_to_the_step(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound):
        worker.main(arguments(store, f"filters/tiny/v1/{'0' * 64}.yaml"))
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["input"] is False
    assert said["error"]["what"].startswith("NotFound: ")


def test_torchruns_signal_is_an_end_and_its_handlers_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.launcher import api

    def ended(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)  # torchrun leaves its own behind
        raise SignalException("told", signal.SIGTERM)

    monkeypatch.setattr(api, "elastic_launch", lambda config, entrypoint: ended)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as said:
        worker.run_workers([], processes=2)
    assert said.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


STEP = """
import sys
from distillery.components.runtime.step import step_context
from distillery.components.training.worker import run_workers
store, key = sys.argv[1:]
with step_context("train", store, key, "run-1"):
    run_workers(["--store", store, "--filter-key", key, "--split", "none"], processes=2)
"""
WAITS = """
import os, time
if "RANK" in os.environ:
    with open({folder!r} + "/rank-" + os.environ["RANK"], "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)
"""


def test_a_cancelled_step_of_several_processes_is_no_fault(store: Store, tmp_path: Path) -> None:
    """As an eviction or a cancelled run tells it: SIGTERM to the step alone."""
    (tmp_path / "sitecustomize.py").write_text(WAITS.format(folder=str(tmp_path)))
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-c", STEP, store.uri, publish_filter(store, named("some/model"))]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as step:
        waits = time.monotonic() + 240
        while len(ranks := list(tmp_path.glob("rank-*"))) < 2 and step.poll() is None and time.monotonic() < waits:
            time.sleep(0.2)
        time.sleep(1)
        step.send_signal(signal.SIGTERM)
        said, _ = step.communicate(timeout=60)
    assert step.returncode == 143, said
    assert "Traceback" not in said
    assert not store.exists("runs/run-1/failure.json")
    assert len(ranks) == 2
    for rank in ranks:
        with pytest.raises(ProcessLookupError):
            os.kill(int(rank.read_text()), 0)


def ended(folder: Path, exitcode: int, at: int, words: dict[str, Any] | None = None) -> Any:
    """How a worker ended, as torchrun hands it on."""
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    path = folder / f"{time.monotonic_ns()}.json"
    if words is not None:
        path.write_text(json.dumps({"message": json.dumps(words), "timestamp": str(at)}))
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=exitcode, error_file=str(path))
    failure.timestamp = at
    return failure


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        pytest.param((-9, None), "killed by SIGKILL", id="killed"),
        pytest.param((-11, None), "killed by SIGSEGV", id="crashed"),
        pytest.param((1, {"what": "the disk is full", "lost": False}), "the disk is full", id="own words"),
    ],
)
@pytest.mark.parametrize("survivor", [1, -15])
def test_the_worker_that_ended_first_is_told_whatever_the_clock_says(
    first: tuple[int, dict[str, Any] | None], expected: str, survivor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch 2.13 goes by whole seconds, and gives a worker without last words the second in which its end was noticed."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher import api

    lost = {"what": "worker 1 of 2 lost the others", "lost": True}
    failures = {
        0: ended(tmp_path, first[0], 101, first[1]),
        1: ended(tmp_path, survivor, 100, lost),
        2: ended(tmp_path, -15, 100),
    }

    def fail(*_: object) -> None:
        raise ChildFailedError("worker", failures)

    monkeypatch.setattr(api, "elastic_launch", lambda **_: fail)
    with pytest.raises(Stopped, match=f"worker 0 failed: {expected}"):
        worker.run_workers([], processes=2)


def test_a_worker_that_lost_the_others_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "error.json"
    monkeypatch.setenv(worker.ERROR_FILE, str(path))
    for error, lost in ((LostOthers("gone", hint=AGAIN), True), (Stopped("full", hint=""), False)):
        worker._last_words(error, refused=False, worker=True)
        assert json.loads(json.loads(path.read_text())["message"])["lost"] is lost
