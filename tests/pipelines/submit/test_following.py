"""A submitted run watched to its end through outages, with the exit codes of a run on this machine."""

from __future__ import annotations

import _thread
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from distillery.components.store import Store, StoreError
from distillery.components.store.layout import cancelled_key
from distillery.pipelines.cluster import events
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.submit.conftest import FILTER, Steps


@pytest.mark.parametrize(("decision", "code"), [("promote", 0), ("reject", 3), ("approve", 4)])
def test_watching_ends_with_the_verdicts_exit_code(
    command: Callable[..., SimpleNamespace],
    fake: FakeKubeflow,
    store: Store,
    labels: Path,
    no_documents: None,
    decision: str,
    code: int,
) -> None:
    fake.on_create = Steps(fake, store, decision=decision).start
    ran = command("distill", FILTER, "--labels", labels, "--watch", "--json")
    assert ran.code == code, ran.err
    result = json.loads(ran.out)
    assert result["verdict"] == decision
    assert {"preflight", "train", "gate"} <= set(result["steps"])
    assert "gate: done" in ran.err


@pytest.mark.parametrize(("cause", "code"), [("input", 2), ("fault", 1), ("stopped", 1)])
def test_a_failed_step_is_named_with_its_exit_code(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, store: Store, labels: Path, cause: str, code: int
) -> None:
    failure = {"step": "preflight", "kind": cause, "message": 'parameter profile: unknown profile "lap"'}
    fake.on_create = Steps(fake, store, failure=failure).start
    ran = command("distill", FILTER, "--labels", labels, "--watch")
    assert ran.code == code
    assert 'error: preflight: parameter profile: unknown profile "lap"' in ran.err


def test_a_pod_that_ended_without_a_word_is_named(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path
) -> None:
    def lost(run: str) -> None:
        tasks = [{"display_name": "train", "state": "FAILED"}, {"display_name": "root", "state": "FAILED"}]
        fake.runs[run] |= {"state": "FAILED", "run_details": {"task_details": tasks}}

    fake.on_create = lost
    ran = command("distill", FILTER, "--labels", labels, "--watch")
    assert ran.code == 1
    assert "error: train: its pod ended without a word" in ran.err
    assert "the same submission goes on" in ran.err


def test_a_dropped_connection_is_said_and_outlasted(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, store: Store, labels: Path, no_documents: None
) -> None:
    steps = Steps(fake, store)

    def outage() -> None:
        for fault in ("down", "busy"):
            time.sleep(0.3)
            setattr(fake, fault, True)
            while not fake.refused:
                time.sleep(0.05)
            setattr(fake, fault, False)
            fake.refused = 0

    steps.halfway = outage
    fake.on_create = steps.start
    ran = command("distill", FILTER, "--labels", labels, "--watch")
    assert ran.code == 0, ran.err
    assert "Kubeflow can't be reached" in ran.err
    assert "Kubeflow answers again after" in ran.err


def test_a_store_that_is_away_for_a_while_is_outlasted(
    command: Callable[..., SimpleNamespace],
    fake: FakeKubeflow,
    store: Store,
    labels: Path,
    no_documents: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.exceptions import EndpointConnectionError

    faults, real = iter(range(3)), Store.keys

    def keys(self: Store, prefix: str = "") -> Iterator[str]:
        if next(faults, None) is not None:
            raise StoreError("can't be reached", where="s3://x") from EndpointConnectionError(endpoint_url="http://x")
        return real(self, prefix)

    monkeypatch.setattr(Store, "keys", keys)
    fake.on_create = Steps(fake, store).start
    ran = command("distill", FILTER, "--labels", labels, "--watch")
    assert ran.code == 0, ran.err
    assert "the store can't be reached (ConnectionError), trying again" in ran.err
    assert "the store answers again" in ran.err


def test_ctrl_c_leaves_the_run_going_and_says_how_to_come_back(
    command: Callable[..., SimpleNamespace],
    fake: FakeKubeflow,
    store: Store,
    labels: Path,
    no_documents: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps, halfway, wait, sleep = Steps(fake, store), threading.Event(), threading.Event(), time.sleep

    def pressed(seconds: float) -> None:
        """Sleep, and press Ctrl-C once when half of the steps are done.

        Not from another thread: CPython 3.11 drops a KeyboardInterrupt that comes while it runs a weakref's finalizer.
        """
        sleep(seconds)
        if halfway.is_set() and threading.current_thread() is threading.main_thread():
            halfway.clear()
            _thread.interrupt_main()

    monkeypatch.setattr(time, "sleep", pressed)
    steps.halfway = lambda: (halfway.set(), wait.wait(10))[0]
    fake.on_create = steps.start
    ran = command("distill", FILTER, "--labels", labels, "--watch")
    assert not halfway.is_set()
    (run,) = fake.runs
    assert ran.code == 130
    assert fake.runs[run]["state"] == "RUNNING"
    assert f"distillery submit --follow {run}" in ran.err
    assert f"distillery submit --cancel {run}" in ran.err
    wait.set()
    followed = command("--follow", run)
    assert followed.code == 0, followed.err


@pytest.mark.parametrize("forgets", [False, True])
def test_cancel_ends_a_run_and_a_follower_is_told(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path, forgets: bool
) -> None:
    """Also where a pod reports just then and Kubeflow forgets that the run was being cancelled."""
    fake.forgets = forgets
    run = json.loads(command("distill", FILTER, "--labels", labels, "--json").out)["run"]
    ran = command("--cancel", run)
    assert (ran.code, ran.out) == (0, f"run {run} cancelled\n")
    followed = command("--follow", run)
    assert followed.code == 1
    assert "was cancelled" in followed.err
    assert "had ended before: FAILED" in command("--cancel", run).out
    assert json.loads(command("distill", FILTER, "--labels", labels, "--json").out)["started"], "a cancelled run holds no claim"


def test_a_run_that_was_cancelled_too_late_is_promoted(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, store: Store, labels: Path, no_documents: None
) -> None:
    fake.on_create = Steps(fake, store).start
    command("distill", FILTER, "--labels", labels, "--watch")
    run = next(iter(fake.runs))
    events.mark_cancelled(store.uri, run)
    fake.runs[run]["state_history"] = [{"state": "CANCELING"}, {"state": "SUCCEEDED"}]
    followed = command("--follow", run)
    assert followed.code == 0, followed.err


def test_a_run_that_cant_be_cancelled_is_not_said_to_be(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, store: Store, labels: Path
) -> None:
    run = json.loads(command("distill", FILTER, "--labels", labels, "--json").out)["run"]
    fake.refuses = True
    ran = command("--cancel", run)
    assert ran.code == 2
    assert "Kubeflow refuses this (403)" in ran.err
    assert not store.exists(cancelled_key(run))


def test_a_pod_that_does_not_start_is_worth_a_line(
    command: Callable[..., SimpleNamespace], fake: FakeKubeflow, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SLOW_SECONDS", 0.2)

    def stuck(run: str) -> None:
        fake.runs[run]["run_details"] = {"task_details": [{"display_name": "train", "state": "RUNNING"}]}
        threading.Timer(4, lambda: fake.runs[run].update(state="FAILED")).start()

    fake.on_create = stuck
    assert "train: no word from its pod for" in command("distill", FILTER, "--labels", labels, "--watch").err
