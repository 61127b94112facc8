"""A clock that jumps by a day, forth and back: nothing is decided by it, and nothing waits for it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from distillery.components.store import open_store
from tests.faults.commands import copied, objects, run
from tests.faults.test_failing_disk import TIMED

DAY = 86_400.0


@pytest.mark.parametrize("jumps", [(DAY,), (-DAY,), (0.0, DAY, -DAY)], ids=["ahead", "behind", "jumping"])
def test_commands_end_as_by_a_clock_that_is_right(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: tuple[float, ...]
) -> None:
    right, off, left = time.time, itertools.cycle(jumps), []
    for name in ("right", "wrong"):
        with copied(kept, tmp_path / "folder") as folder:
            store = open_store(str(folder / "store"))
            for key in (*store.keys("labels"), *store.keys("steps/label")):
                (folder / "store" / key).unlink()
            if name == "wrong":
                monkeypatch.setattr(time, "time", lambda: right() + next(off))
            for command in ("label", "rollback", "gate", "history"):
                ran = run(command, folder)
                assert ran.code == 0, f"{command}: {ran.err[-1500:]}"
            left.append({key: digest for key, digest in objects(folder).items() if not TIMED.fullmatch(key)})
    assert left[0] == left[1]
