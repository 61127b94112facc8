"""Runs a pipeline on this machine with kfp.local, each task a process of its own.

The command line calls `start`, which runs `python -m distillery.pipelines.laptop.run` with KFP's own output in a log. A
process of its own costs about a second of imports a run; in return the terminal stays quiet and Ctrl-C ends every task.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from distillery.components.preflight.request import RunRequest
from distillery.components.runtime.progress import EVENTS
from distillery.components.runtime.step import RUN


def start(request: RunRequest, *, run: str, events: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `distill` in a process group of its own.

    Args:
        request: The run's arguments, with absolute paths.
        run: The run's name.
        events: File that the steps append their events to.
        log: File that gets the process's output.

    Returns:
        The process, running.
    """
    environment = {**os.environ, EVENTS: str(events), RUN: run, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment["PYTHONSAFEPATH"] = "1"  # no process of the run imports what lies in the user's folder
    with open(log, "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "distillery.pipelines.laptop.run", json.dumps(request.to_arguments())],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def die_with(parent: int) -> None:
    """End this process group once `parent` is gone, so that a killed command leaves no training running.

    Args:
        parent: Process id of the command that started this process.
    """
    while os.getppid() == parent:
        time.sleep(0.3)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run `distill` with the arguments of the command line: one JSON object of pipeline parameters.

    Returns:
        Exit status, 0; what failed is in the run's events and in its store.
    """
    threading.Thread(target=die_with, args=(os.getppid(),), daemon=True).start()
    from kfp import local

    from distillery.pipelines.distill import distill

    arguments = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="distillery-") as root:
        local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=False)
        distill(**arguments)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
