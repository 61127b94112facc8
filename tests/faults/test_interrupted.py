"""Ctrl-C, SIGTERM and a terminal that goes away: one line, the usual exit code, no temporary folder, and the rest goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillery.pipelines.cli.main import end_by_signals
from tests.faults.commands import COMMANDS, run
from tests.pipelines.harness import label_rows, write_filter, write_rows

# The command, with an oracle that takes its time.
SLOWLY = """
import asyncio
from distillery.components.labeling.oracles.replay import Replay
answer = Replay.ask
async def slowly(self, request):
    await asyncio.sleep(0.2)
    return await answer(self, request)
Replay.ask = slowly
from distillery.pipelines.cli.main import main
main()
"""


def interrupted(script: list[str], words: list[str], folder: Path, number: int, sign: str) -> tuple[int, str]:
    """Start a command, wait for a temporary folder of that name, send the signal; exit code and what was said."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    places = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(temporary),
        "DISTILLERY_CACHE": str(folder / "cache"),
    }
    process = subprocess.Popen(
        [sys.executable, *script, *words],
        env={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests may ignore the signal (nohup, a shell's background), and a child inherits that.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while not list(temporary.glob(sign)):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


ENDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM", signal.SIGHUP: "ended by SIGHUP"}


@pytest.mark.parametrize("number", ENDS)
def test_a_command_that_asks_an_oracle_leaves_nothing_behind(folder: Path, number: int) -> None:
    words = [
        *COMMANDS["noise"].replace("--repeat 2", "--repeat 2 --n 60").format(folder).split(),
        "--store",
        str(folder / "store"),
    ]
    code, said = interrupted(["-c", SLOWLY], words, folder, number, "distillery-sample-*")
    assert code == 128 + number
    assert said.splitlines()[-1] == f"{ENDS[signal.Signals(number)]}; the same command goes on from here"
    assert "Traceback" not in said
    assert list((folder / "tmp").iterdir()) == []
    assert run("noise", folder).code == 0


def test_a_run_of_all_steps_leaves_nothing_behind(tmp_path: Path, tiny_encoder: Path) -> None:
    labels = write_rows(tmp_path / "labels.jsonl", label_rows(60))
    flt = write_filter(tmp_path / "small-town" / "v1" / "filter.yaml", tiny_encoder)
    words = ["distill", str(flt), "--labels", str(labels), "--store", str(tmp_path / "store")]
    command = ["-m", "distillery.pipelines.cli.main"]
    code, said = interrupted(command, words, tmp_path, signal.SIGINT, "distillery-*/events.jsonl")
    assert code == 130
    assert said.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert "Traceback" not in said
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_hangup_that_is_ignored_stays_so() -> None:
    """As `nohup` has it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        came = end_by_signals()
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
