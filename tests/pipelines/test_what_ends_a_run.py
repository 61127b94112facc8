"""What ends a process of a run on this machine is told as it was, and what a user wrote never meets the runner's own text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from kfp.local.subprocess_task_handler import replace_python_executable, run_local_subprocess

from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.preflight.request import RunRequest
from distillery.components.runtime.events import Done, Failed
from distillery.components.runtime.step import step_context
from distillery.filters.errors import OverBudget, Stopped
from distillery.pipelines.cli.ending import end_failed
from distillery.pipelines.laptop import run
from distillery.pipelines.laptop.endings import ending, last_exception, oom_kills
from distillery.pipelines.laptop.events import Tail
from distillery.pipelines.run_view import Watched
from tests.pipelines.harness import compile_alone

HARD = "o'brien\\'s python3-proj $HOME 100% {{$}} \"q\"\nline"
LOG = """    starting
    Traceback (most recent call last):
      File "a.py", line 1, in <module>
        work()
    KeyError: 'first'

    During handling of the above exception, another exception occurred:

    Traceback (most recent call last):
      File "a.py", line 3, in <module>
        more()
      File "b.py", line 4, in more
    torch.OutOfMemoryError: CUDA out of memory: tried 3 GiB
    on two lines
    after
"""


@pytest.mark.parametrize(
    ("code", "log", "out_of_memory", "says"),
    [
        (-9, "", False, "killed by SIGKILL"),
        (137, LOG, False, "killed by SIGKILL"),
        (-9, "", True, "out of memory: the kernel killed it (SIGKILL)"),
        (137, "", True, "out of memory: the kernel killed it (SIGKILL)"),
        (-15, "", True, "killed by SIGTERM"),
        (139, "", False, "killed by SIGSEGV"),
        (1, LOG, True, "torch.OutOfMemoryError: CUDA out of memory: tried 3 GiB"),
        (1, "no traceback", False, "ended with exit code 1"),
        (255, "", False, "ended with exit code 255"),
        (0, LOG, False, "ended without a decision"),
    ],
)
def test_an_end_is_told_as_it_was(code: int, log: str, out_of_memory: bool, says: str) -> None:
    assert ending(code, log, out_of_memory=out_of_memory) == says


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("", ""),
        ("Traceback (most recent call last):\n  File x\nMemoryError\n", "MemoryError"),
        ("Traceback (most recent call last):\n  File x\nValueError: a\x1b[31mb\n", "ValueError: a�[31mb"),
        ("Traceback (most recent call last):\n  File x", ""),
    ],
)
def test_the_last_exception_of_a_log(log: str, says: str) -> None:
    assert last_exception(log) == says


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "cg/a/b/memory.events": "oom 4\noom_kill 3\n", "proc/vmstat": "oom_kill 9"}, 3),
        ({"proc/self/cgroup": "0::/\n", "cg/memory.events": "oom_kill 2\noom_group_kill 0\n"}, 2),
        ({"proc/self/cgroup": "4:cpu,memory:/x\n0::/\n", "cg/memory/x/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free 1\noom_kill 7\n"}, 7),
        ({}, 0),
    ],
)  # fmt: skip
def test_the_kernels_word_is_read_of_either_cgroup_or_of_the_machine(tmp_path: Path, files: dict[str, str], kills: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path / "cg", tmp_path / "proc") == kills


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, and its environment."""
    monkeypatch.setenv("DISTILLERY_EVENTS", str(tmp_path / run.FEED))
    monkeypatch.setenv("DISTILLERY_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DISTILLERY_RUN", "r1")
    (tmp_path / run.LOG).write_text("before\n" + LOG)
    return tmp_path


def task(script: str) -> list[str]:
    return ["sh", "-ec", script, "--function_to_execute", "train"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("kill -9 $$", "killed by SIGKILL"),
        ("sh -c 'kill -TERM $$'", "killed by SIGTERM"),
        ("exit 3", "ended with exit code 3"),
    ],
)
def test_a_task_that_dies_is_told_of_to_the_watcher_and_to_the_report(scratch: Path, script: str, says: str) -> None:
    assert run.told(run_local_subprocess, scratch)(full_command=task(script)) != 0
    (event,) = Tail(scratch / run.FEED)
    assert isinstance(event, Failed)
    assert (event.step, event.cause, event.message) == ("train", "fault", says)
    failure = Failure.read((scratch / "store" / "runs" / "r1" / "failure.json").read_bytes(), "failure.json")
    assert (failure.step, failure.message) == ("train", says)


def test_a_task_that_told_itself_or_that_is_done_is_not_told_of_again(scratch: Path) -> None:
    assert run.told(run_local_subprocess, scratch)(full_command=task("true")) == 0
    assert list(Tail(scratch / run.FEED)) == []
    said = Failed(at=1.0, step="train", cause="input", message="bad row")
    (scratch / run.FEED).write_text(said.to_line())
    assert run.told(run_local_subprocess, scratch)(full_command=task("exit 2")) == 2
    assert list(Tail(scratch / run.FEED)) == [said]
    assert not (scratch / "store").exists()


@pytest.mark.parametrize("name", ["python3", "python"])
def test_python3_is_this_interpreter_wherever_it_lies(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an environment has no python3 beside it, or where its folder cannot stand in PATH."""
    real = sys.executable
    folder = tmp_path / "o'brien's python3 $HOME 100%" / "bin"
    folder.mkdir(parents=True)
    (folder / name).write_text(f'#!/bin/sh\nexport WHO=ours\nexec "{real}" "$@"\n')
    (folder / name).chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(folder / name))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    (tmp_path / "scratch").mkdir()
    run.name_python(tmp_path / "scratch")
    command = ["sh", "-ec", 'python3 -c "import os, sys; print(os.environ[\'WHO\'], sys.argv[1])" "$0"', HARD]
    done = subprocess.run(replace_python_executable(command, sys.executable), capture_output=True, text=True, check=True)
    assert done.stdout == f"ours {HARD}\n"


def test_steps_read_the_parameters_of_the_runs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = RunRequest(filter=HARD, articles=HARD, overrides=(HARD,), marks=HARD, budget=1.5, without_calibration=HARD)
    (tmp_path / "request.json").write_text(json.dumps(request.to_arguments()))
    monkeypatch.setenv("DISTILLERY_STORE", str(tmp_path / "store"))
    with step_context("label", "", "", "r1") as step:
        assert (step.by_file, step.parameters(articles="a")) == (False, {"articles": "a"})
        monkeypatch.setenv("DISTILLERY_PARAMETERS", str(tmp_path / "request.json"))
        assert step.by_file
        assert step.parameters(articles="", marks="", budget=0.0) == {"articles": HARD, "marks": HARD, "budget": 1.5}


def test_conditions_see_fixed_words_only() -> None:
    """kfp.local puts a value between apostrophes and evaluates the text: no condition may see what a user wrote."""

    def conditions(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["condition"]] if isinstance(value.get("condition"), str) else []
            return own + [text for inner in value.values() for text in conditions(inner)]
        return [text for inner in value for text in conditions(inner)] if isinstance(value, list) else []

    found = conditions(compile_alone("distill").spec)
    assert len(found) >= 5
    for text in found:
        seen = {part.partition("']")[0].rpartition("-")[2] for part in text.split("parameter_values['")[1:]}
        assert seen <= {"source", "decision"}, text


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (OverBudget("the budget has no room", hint="raise it", limit=2.5), 2.5),
        (Stopped("the service is away", hint="later"), None),
    ],
)
def test_a_budget_that_was_reached_is_in_the_failure(tmp_path: Path, error: Stopped, limit: float | None) -> None:
    with pytest.raises(SystemExit), step_context("label", str(tmp_path), "", "r1"):
        raise error
    data = (tmp_path / "runs" / "r1" / "failure.json").read_bytes()
    failure = Failure.read(data, "failure.json")
    assert (failure.kind, failure.limit, b"limit" in data) == ("stopped", limit, limit is not None)


@pytest.mark.parametrize(("cause", "code"), [("input", 2), ("waiting", 4), ("stopped", 1), ("fault", 1)])
def test_a_run_that_came_to_no_decision_ends_with_its_cause(
    cause: Any, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched({})
    record = StepRecord.of("calibrate", {}, {"verdict": "REVIEW", "review": "calibrations/a b/review.html"}, [])
    watched.take(Done(step="calibrate", at=1.0, record=record))
    assert watched.take(Failed(step="label", at=2.0, cause=cause, message="no")) is None  # it is printed once, at the end
    assert watched.failure is not None
    with pytest.raises(typer.Exit) as end:
        end_failed(watched.failure, watched, "file:///s%20t", again="command", log=tmp_path / "run.log")
    assert end.value.exit_code == code
    said = capsys.readouterr().err
    assert said.count("no\n") == 1
    assert ("articles to mark: /s t/calibrations/a b/review.html" in said) == (cause == "waiting")
    assert (f"log: {tmp_path / 'run.log'}" in said) == (cause == "fault")
