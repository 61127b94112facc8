"""How fast a student trains beside a process that never sleeps, and what waiting asleep costs where nobody else works.

    pytest -s -m slow tests/benchmarks/test_shared_cores.py

`train` on the demo with the laptop's profile and two threads on two cores, each for DISTILLERY_BENCH_SECONDS (60): quiet and
beside one busy process, with OpenMP's own way of waiting and with ours, in turn. Articles a second while the head is fitted,
and in the first epoch.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

SECONDS, ROUNDS = (
    int(os.environ.get(f"DISTILLERY_BENCH_{name}", value)) for name, value in (("SECONDS", "60"), ("ROUNDS", "2"))
)
SPINNING = "300000"  # turns that libgomp takes where nobody says anything
COMMAND = [sys.executable, "-m", "distillery.pipelines.cli.main"]
ARGUMENTS = ["sustainability-technology", "--articles", "articles.jsonl", "--profile", "laptop", "--store", "store"]
ARGUMENTS += ["--set", "oracle.replies=replies.jsonl", "--set", "training.learningRate=0.002"]
RATE = re.compile(r"train: ([\d,]+) of [\d,]+ articles( read)?, ([\d.]+)/s")
PHASES = {" read": "the head", None: "the first epoch"}
BUSY = "while True: pass"


@contextmanager
def neighbour(there: bool) -> Iterator[None]:
    """A process that never sleeps, where there is one."""
    process = subprocess.Popen([sys.executable, "-c", BUSY]) if there else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def two_cores() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def train(demo: Path, folder: Path, spins: str | None, seconds: int) -> dict[str, float]:
    """Train for some seconds on a copy of the demo's store; return the last rate of each phase."""
    shutil.copytree(demo, folder)
    settings = {"OMP_NUM_THREADS": "2", **({"GOMP_SPINCOUNT": spins} if spins else {})}
    plain = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    process = subprocess.Popen([*COMMAND, "train", *ARGUMENTS], cwd=folder, env=plain | settings, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, preexec_fn=two_cores, start_new_session=True)  # fmt: skip
    rates: dict[str, float] = {}
    until = time.monotonic() + 600
    assert process.stdout is not None
    for line in process.stdout:
        if found := RATE.search(line):
            if not rates:
                until = time.monotonic() + seconds
            rates[PHASES[found[2]]] = float(found[3])
        if time.monotonic() > until:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder)
    return rates


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_busy_neighbour_leaves_two_fifths_and_a_quiet_machine_loses_little(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    subprocess.run([*COMMAND, "demo", "--out", str(demo)], check=True)
    subprocess.run([*COMMAND, "split", *ARGUMENTS], cwd=demo, check=True)
    seen: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for way, spins in (("OpenMP's", SPINNING), ("ours", None)):
            for where, there in (("quiet", False), ("shared", True)):
                with neighbour(there):
                    for phase, rate in train(demo, tmp_path / f"{number}", spins, SECONDS).items():
                        seen[way, where, phase].append(rate)
    rates = {key: median(values) for key, values in seen.items()}
    for (way, where, phase), rate in rates.items():
        print(f"{way:9} {where:6} {phase:15} {rate:6.1f} articles/s")
    for phase in PHASES.values():
        assert rates["ours", "shared", phase] >= 0.4 * rates["OpenMP's", "quiet", phase]
        assert rates["ours", "quiet", phase] >= 0.97 * rates["OpenMP's", "quiet", phase]
