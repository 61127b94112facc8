"""A clock that jumps by a day, forth and back: its times are written down for people, and nothing is decided by it."""

from __future__ import annotations

import datetime
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import open_store
from tests.faults.commands import EARLIER, WAITING, copied, run
from tests.faults.results import results, timeless

DAY = 86_400.0
WORK = ("label", "gate", "approve", "rollback", "history", "report", "benchmark")


def move_the_clocks(monkeypatch: pytest.MonkeyPatch, off: Callable[[], float]) -> Counter[str]:
    """Let every clock of the day that the product reads be off; returns how often each was read.

    They are `time.time`, `time.strftime` and what modules import as `datetime`. `time.monotonic` counts from the start of the
    machine and doesn't follow the clock of the day.
    """
    now, strftime, read = time.time, time.strftime, Counter[str]()

    def wrong_time() -> float:
        read["time.time"] += 1
        return now() + off()

    def wrong_strftime(form: str, *moment: Any) -> str:
        read["time.strftime"] += 1
        return strftime(form, *(moment or [time.localtime(now() + off())]))

    class WrongDatetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            read["datetime.now"] += 1
            return datetime.datetime.fromtimestamp(now() + off(), tz)

    monkeypatch.setattr(time, "time", wrong_time)
    monkeypatch.setattr(time, "strftime", wrong_strftime)
    for name, module in list(sys.modules.items()):
        if name.startswith("distillery.") and getattr(module, "datetime", None) is datetime.datetime:
            monkeypatch.setattr(module, "datetime", WrongDatetime)
    return read


def done(folder: Path) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """Do the work; what the store says afterwards, what was printed, and the channel."""
    store = open_store(str(folder / "store"))
    for key in (*store.keys("labels"), *store.keys("steps/label")):
        (folder / "store" / key).unlink()
    printed = []
    for command in WORK:
        ran = run(command, folder)
        assert ran.code == 0, f"{command}: {ran.err[-1500:]}"
        printed.append(timeless(ran.out))
    return results(store), printed, json.loads(store.get("channels/village-gain/production.json"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One path for all runs: a published filter names its replies by their path."""
    return tmp_path_factory.mktemp("clock") / "folder"


@pytest.fixture(scope="module")
def by_the_right_clock(kept: Path, place: Path) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    with copied(kept, place) as folder:
        return done(folder)


@pytest.mark.parametrize("jumps", [(DAY,), (-DAY,), (0.0, DAY, -DAY)], ids=["ahead", "behind", "jumping"])
def test_commands_end_as_by_a_clock_that_is_right(
    by_the_right_clock: tuple[dict[str, Any], list[str], dict[str, Any]],
    kept: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    jumps: tuple[float, ...],
) -> None:
    store, printed, right = by_the_right_clock
    off, began = itertools.cycle(jumps), time.time()
    with copied(kept, place) as folder:
        read = move_the_clocks(monkeypatch, lambda: next(off))
        ended, said, wrong = done(folder)
    assert read["time.time"] > 0, read
    assert read["datetime.now"] == 2, "one for each move"
    moves = [(entry["adapter"], entry["action"]) for entry in wrong["history"]]
    assert moves == [(entry["adapter"], entry["action"]) for entry in right["history"]]
    assert [(adapter[:12], action) for adapter, action in moves[:2]] == [(EARLIER, "rollback"), (WAITING, "promote")]
    assert ended == store
    assert said == printed
    rolled_back, approved = (datetime.datetime.fromisoformat(entry["at"]).timestamp() for entry in wrong["history"][:2])
    assert {round((at - began) / DAY) for at in (rolled_back, approved)} <= {jump / DAY for jump in jumps}
    assert any(abs(at - began) > DAY / 2 for at in (rolled_back, approved)), "the wrong time is what was written down"
