"""Runs a pipeline on this machine with kfp.local, each task a process of its own.

The command line calls `start`, which runs `python -m distillery.pipelines.laptop.run` with KFP's own output in a log. A
process of its own costs about a second of imports a run; in return the terminal stays quiet and Ctrl-C ends every task.

What a user wrote never meets kfp.local, which evaluates conditions as text and substitutes inside of arguments: the request
lies in a file that each step reads, and the graph is given empty parameters.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from distillery.components.preflight.request import RunRequest
from distillery.components.runtime.progress import EVENTS
from distillery.components.runtime.step import PARAMETERS, RUN, STORE
from distillery.pipelines.laptop.endings import ending, oom_kills
from distillery.pipelines.laptop.logs import AROUND, LOG, mark

REQUEST: Final = "request.json"
FEED: Final = "events.jsonl"
PATIENCE: Final = 5.0  # seconds that a process that was told to end is given

RunTask = Callable[..., int]


def start(request: RunRequest, *, run: str, scratch: Path) -> subprocess.Popen[bytes]:
    """Start `distill` in a process group of its own.

    Args:
        request: The run's arguments, with absolute paths and a store.
        run: The run's name.
        scratch: An empty folder of the run's own: gets the request, the events that its steps append, the log, and every
            temporary file of its processes.

    Returns:
        The process, running.
    """
    file, temporary = scratch / REQUEST, scratch / "tmp"
    temporary.mkdir()
    file.write_text(json.dumps(request.to_arguments()), encoding="utf-8")
    environment = {**os.environ, EVENTS: str(scratch / FEED), RUN: run, PARAMETERS: str(file), STORE: request.store}
    environment |= {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONSAFEPATH"] = "1"  # no process of the run imports what lies in the user's folder
    with open(scratch / LOG, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "distillery.pipelines.laptop.run"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a run's processes, and wait until they are gone.

    Args:
        process: What `start` returned.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)


def die_with(parent: int) -> None:
    """End this process group once `parent` is gone, so that a killed command leaves no training running.

    Args:
        parent: Process id of the command that started this process.
    """
    while os.getppid() == parent:
        time.sleep(0.3)
    os.killpg(0, signal.SIGKILL)


def name_python(scratch: Path) -> None:
    """Let "python3" be this interpreter, for this process and all that it starts.

    kfp.local writes `sys.executable` over the text "python3" wherever it stands in a task: in a shell command, where a path
    with a space or an apostrophe breaks, and in every argument. With this name it writes what was there.

    Args:
        scratch: Folder for a launcher, where none lies beside the interpreter.
    """
    beside = Path(sys.executable).with_name("python3")
    folder = beside.parent
    if os.pathsep in str(folder) or not (beside.exists() and beside.samefile(sys.executable)):
        folder = scratch / "bin"
        folder.mkdir()
        launcher = folder / "python3"
        launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
        launcher.chmod(0o700)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    sys.executable = "python3"


def told(run_task: RunTask, scratch: Path) -> RunTask:
    """Return a function that runs a task as `run_task` does, and tells what ended one that could not tell it itself.

    Args:
        run_task: kfp.local's own, which keeps the exit status to itself.
        scratch: The run's folder, with its log and its events.

    Returns:
        A function with the same signature.
    """
    log = scratch / LOG

    def run(full_command: list[str], **more: object) -> int:  # kfp 2.17 gives its environment, too
        step = full_command[full_command.index("--function_to_execute") + 1]
        mark(log, step)
        kills, size = oom_kills(), log.stat().st_size
        code = run_task(full_command, **more)
        mark(log, AROUND)
        if code and not _said(scratch / FEED, step):
            with open(log, "rb") as file:
                file.seek(size)
                printed = file.read().decode("utf-8", "replace")
            _tell(step, ending(code, printed, out_of_memory=oom_kills() > kills))
        return code

    return run


def _said(events: Path, step: str) -> bool:
    """True if a step told of its failure itself."""
    from distillery.pipelines.laptop.events import Tail

    return any(event.step == step and event.kind == "failed" for event in Tail(events))


def _tell(step: str, message: str) -> None:
    """Tell of a step that died whoever watches, and the report."""
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.runtime.events import Failed
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.components.store.layout import failure_key

    reporter(step).event(Failed(at=time.time(), step=step, cause="fault", message=message))
    try:
        Failure(step=step, kind="fault", message=message).put(open_store(os.environ[STORE]), failure_key(os.environ[RUN]))
    except Exception as error:  # the store may be what failed; the event says what happened
        print(f"the failure of {step} could not be kept for the report: {error}", flush=True)


def main() -> int:
    """Run `distill` with the request of the file that DISTILLERY_PARAMETERS names.

    Returns:
        Exit status, 0; what failed is in the run's events and in its store.
    """
    threading.Thread(target=die_with, args=(os.getppid(),), daemon=True).start()
    from kfp import local
    from kfp.local import subprocess_task_handler

    from distillery.pipelines.distill import distill

    scratch = Path(os.environ[PARAMETERS]).parent
    name_python(scratch)
    subprocess_task_handler.run_local_subprocess = told(subprocess_task_handler.run_local_subprocess, scratch)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner=runner, pipeline_root=str(scratch / "root"), raise_on_error=False)
    distill(filter="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
