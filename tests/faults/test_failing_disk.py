"""A disk that fails at the Nth call, N = 1, 2, … until a command succeeds: the old state stays, a second run makes the rest."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distillery.components.store import open_store
from tests.faults.commands import copied, run
from tests.faults.disk import CALLS, ERRORS, Disk, failing
from tests.faults.results import neither_old_nor_new, outside, results, timeless

# A command, and what is taken out of the kept store first, so that it is made anew.
WORK = {
    "labels import": ("steps/label", "labelsets"),
    "split": ("steps/split", "datasets"),
    "label to a file": ("steps/label", "labels/"),
    "noise": ("noise",),
    "report": (),
    "rollback": ("cache",),
    "models push": (),
}


class Undisturbed(NamedTuple):
    """Which calls a command makes by kind, what it prints, and what is there before and afterwards."""

    calls: Counter[str]
    out: str
    before: dict[str, Any]
    after: dict[str, Any]


def prepared(kept: Path, folder: Path, without: tuple[str, ...]) -> Path:
    """A copy of the kept folder that each case copies: without what is made anew, and with outputs of an earlier command."""
    shutil.copytree(kept, folder)
    base = next(path.parent for path in (folder / "store" / "models").rglob("model.safetensors"))
    shutil.copytree(base, folder / "base")
    (folder / "base" / "manifest.json").unlink()
    for name in without:
        shutil.rmtree(folder / name if name == "cache" else folder / "store" / name)
    for name in ("report.html", "labels.out"):
        (folder / name).write_text("of an earlier command")
    return folder


def temporary(folder: Path) -> list[str]:
    """Temporary files that are there still."""
    return [path.name for path in (folder / "tmp").iterdir()]


def everything(folder: Path) -> dict[str, Any]:
    """What the store says, and the files beside it."""
    return {**results(open_store(str(folder / "store"), write=False)), **outside(folder)}


def undisturbed(ready: Path, to: Path, command: str) -> Undisturbed:
    with copied(ready, to) as folder:
        before = everything(folder)
        with failing(Disk(folder)) as disk:
            ran = run(command, folder)
        assert ran.code == 0, ran.err
        assert temporary(folder) == []
        return Undisturbed(disk.seen, timeless(ran.out), before, everything(folder))


def once(ready: Path, to: Path, command: str, wanted: Undisturbed, kind: str, at: int, error: str) -> str:
    """Let one call fail; how the command ended."""
    with copied(ready, to) as folder:
        with failing(Disk(folder, kind, at, ERRORS[error])) as disk:
            ran = run(command, folder)
        if not disk.failed:
            return "not reached"
        assert ran.code in (0, 2), ran.err[-1500:]
        there = everything(folder)
        if ran.code == 0:
            assert timeless(ran.out) == wanted.out
            if command == "report" and there != wanted.after:  # it comes out whatever can't be read, which it names
                assert "not readable: " in ran.err
                assert "Not readable" in (folder / "report.html").read_text()
                there["report.html"] = wanted.after["report.html"]
        else:
            (line,) = ran.errors
            assert "; " in line, line
        assert neither_old_nor_new(there, wanted.before, wanted.after) == []
        assert temporary(folder) == []
        again = run(command, folder)
        assert again.code == 0, again.err[-1500:]
        assert everything(folder) == wanted.after
        return "in one line" if ran.code else "as undisturbed"


def sweep(kept: Path, tmp_path: Path, command: str, record: Callable[[str, object], None], *, part: int, parts: int) -> None:
    """Let each call of each kind fail with each error, one at a time: the cases of one part, drawn by seed."""
    ready = prepared(kept, tmp_path / "ready", WORK[command])
    wanted = undisturbed(ready, tmp_path / "folder", command)
    cases = [(kind, at, error) for kind in CALLS for at in range(1, wanted.calls[kind] + 1) for error in ERRORS]
    ended, faults = Counter[str](), list[str]()
    for kind, at, error in random.Random(1).sample(cases, len(cases))[part::parts]:
        try:
            ended[once(ready, tmp_path / "folder", command, wanted, kind, at, error)] += 1
        except Exception as fault:
            ended["wrong"] += 1
            faults.append(f"{command}: {error} at {kind} {at} of {wanted.calls[kind]}: {fault}")
    record("counted", dict(ended))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("command", WORK)
def test_a_call_that_fails_is_one_line_and_a_second_run_ends_as_ever(
    kept: Path, tmp_path: Path, record_property: Callable[[str, object], None], command: str
) -> None:
    sweep(kept, tmp_path, command, record_property, part=0, parts=100)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("command", WORK)
def test_every_call_that_can_fail(
    kept: Path, tmp_path: Path, record_property: Callable[[str, object], None], command: str, part: int
) -> None:
    sweep(kept, tmp_path, command, record_property, part=part, parts=10)
