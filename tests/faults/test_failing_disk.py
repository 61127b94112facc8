"""A disk that fails at the Nth call, N = 1, 2, … until a command succeeds: the old state stays, a second run makes the rest."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.commands import Ran, copied, objects, run
from tests.faults.disk import CALLS, ERRORS, Disk, failing

# What is typed, and what is taken out of the kept store first, so that it is made anew.
WORK = {
    "labels import {0}/filter.yaml {0}/same-labels.jsonl": ("steps/label", "labelsets"),
    "split {0}/filter.yaml --articles {0}/articles.jsonl --set oracle.replies={0}/replies.jsonl": ("steps/split", "datasets"),
    "label {0}/filter.yaml --articles {0}/articles.jsonl --set oracle.replies={0}/replies.jsonl --out {0}/labels.out": (
        "steps/label",
        "labels/",
    ),
    "noise {0}/filter.yaml --articles {0}/articles.jsonl --set oracle.replies={0}/replies.jsonl --repeat 2": ("noise",),
    "report {0}/filter.yaml --out {0}/report.html": (),
    "rollback {0}/filter.yaml --to fd203044ac4e": ("cache",),
    "models push {0}/base --as made-up/other": (),
}
# These hold times, or say which run wrote them.
TIMED = re.compile(r"(steps|channels|runs|summaries|noise|datasets/frozen)/.*|labels/.*")


def prepared(folder: Path, without: tuple[str, ...]) -> Path:
    base = next(path.parent for path in (folder / "store" / "models").rglob("model.safetensors"))
    shutil.copytree(base, folder / "base")
    (folder / "base" / "manifest.json").unlink()
    for name in without:
        shutil.rmtree(folder / name if name == "cache" else folder / "store" / name)
    return folder


def temporary(folder: Path) -> list[str]:
    """Temporary files that are there still; torch makes a folder of its own, for the next process too."""
    return [path.name for path in (folder / "tmp").iterdir() if not path.name.startswith("torchinductor_")]


def undisturbed(kept: Path, to: Path, command: str) -> tuple[Ran, Counter[str], dict[str, str]]:
    """How a command ends, which calls it makes, and what is in the store afterwards."""
    with copied(kept, to) as folder:
        prepared(folder, WORK[command])
        with failing(Disk(folder)) as disk:
            ran = run(command, folder)
        assert ran.code == 0, ran.err
        assert temporary(folder) == []
        return ran, disk.seen, objects(folder)


def once(kept: Path, to: Path, command: str, after: dict[str, str], kind: str, at: int, error: str) -> str:
    """Let one call fail; how the command ended."""
    with copied(kept, to) as folder:
        before = objects(prepared(folder, WORK[command]))
        with failing(Disk(folder, kind, at, ERRORS[error])) as disk:
            ran = run(command, folder)
        if not disk.failed:
            return "not reached"
        assert ran.code in (0, 1, 2), ran.err[-1500:]
        assert "Traceback" not in ran.err, ran.err
        if ran.code:
            (line,) = ran.errors
            assert "; " in line, line
        there = objects(folder)
        for key, digest in before.items():
            assert there.get(key) in (digest, after.get(key)) or TIMED.fullmatch(key), f"{key} is neither old nor new"
        if kind != "unlink":
            assert temporary(folder) == []
        again = run(command, folder)
        assert again.code == 0, again.err[-1500:]
        ended = {key: digest for key, digest in objects(folder).items() if not TIMED.fullmatch(key)}
        assert ended == {key: digest for key, digest in after.items() if not TIMED.fullmatch(key)}
        return f"exit {ran.code}"


def sweep(kept: Path, tmp_path: Path, command: str, *, step: int, seed: int) -> Counter[str]:
    """Let each `step`-th call of each kind fail, with errors in turn."""
    _, seen, after = undisturbed(kept, tmp_path / "undisturbed", command)
    cases = [(kind, at, error) for kind in CALLS for at in range(1, seen[kind] + 1) for error in ERRORS]
    ended: Counter[str] = Counter()
    for kind, at, error in random.Random(seed).sample(cases, max(1, len(cases) // step)):
        try:
            ended[once(kept, tmp_path / "disturbed", command, after, kind, at, error)] += 1
        except (AssertionError, ValueError) as fault:
            raise AssertionError(f"{command}: {error} at {kind} {at} of {seen[kind]}: {fault}") from fault
    return ended


@pytest.mark.parametrize("command", WORK)
def test_a_call_that_fails_is_one_line_and_a_second_run_ends_as_ever(kept: Path, tmp_path: Path, command: str) -> None:
    sweep(kept, tmp_path, command, step=100, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("command", WORK)
def test_every_call_that_can_fail(kept: Path, tmp_path: Path, command: str) -> None:
    print(command, sweep(kept, tmp_path, command, step=1, seed=1))
