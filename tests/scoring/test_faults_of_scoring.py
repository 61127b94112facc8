"""Processes that score are killed, stopped and woken, run twice, or shown old listings: each article is scored once."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distillery.components.articles.label_table import read_table
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import finish, missing
from distillery.components.scoring.corpus import find_corpus
from distillery.components.scoring.part import score_part
from distillery.components.scoring.plan import Plan, begin, plan_for
from distillery.components.scoring.whole import look_at
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError
from tests.scoring.test_score import FILTER, Reader

PODS = 5
IDS = [f"a{n}" for n in range(100)]


class Slow(Reader):
    """Takes some hundredths of a second, in which a test kills or stops its process."""

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
        time.sleep(0.05)
        return super().predict(texts, progress)


class Other(Reader):
    """The same student on another machine: other last decimals."""

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(raw + 1e-4, 0, 10)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    rows = [json.dumps({"id": name, "content": f"{n % 10} 5 text {n}"}) for n, name in enumerate(IDS)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    return plan_for(FILTER, "a" * 64, find_corpus(str(tmp_path / "a.jsonl")), PODS, part_bytes=1, code="image:1")


@pytest.fixture
def out(tmp_path: Path, plan: Plan) -> Store:
    store = open_store(str(tmp_path / "scores"))
    begin(store, plan)
    return store


def pod(out: Store, plan: Plan, index: int, student: Reader, **more: Any) -> int:
    """Score a part in a process of its own, which exits with 0 if the part is done then; return its number."""
    if child := os.fork():
        return child
    status = 1
    try:
        score_part(out, plan, index, FILTER, lambda: student, **more)
        status = 0 if look_at(out, plan, index).done else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def status(child: int) -> int:
    """Wait for a process; return its exit status, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ids(out: Store, plan: Plan) -> list[str]:
    return [name for index in range(plan.shards) for name in read_table(out.get(plan.part(index)))["id"].to_pylist()]


@pytest.mark.parametrize("seed", range(3))
def test_pods_are_killed_and_every_article_is_scored_once(out: Store, plan: Plan, seed: int) -> None:
    chance = random.Random(seed)
    pods = [pod(out, plan, index, Slow(), chunk=5) for index in range(PODS)]
    killed = chance.sample(pods, 3)
    for child in killed:
        time.sleep(chance.random() * 0.1)
        os.kill(child, signal.SIGKILL)
    for child in pods:
        assert status(child) in ((0, -signal.SIGKILL) if child in killed else (0,))
    for index in missing(out, plan):
        score_part(out, plan, index, FILTER, Reader)
    assert finish(out, plan).articles == 100
    assert ids(out, plan) == IDS


def test_a_pod_whose_part_is_not_done_exits_with_1(out: Store, plan: Plan, capfd: pytest.CaptureFixture[str]) -> None:
    class Failing(Slow):
        def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = quiet) -> NDArray[np.float64]:
            raise ZeroDivisionError("in somebody's student")

    assert status(pod(out, plan, 1, Failing())) == 1
    assert "in somebody's student" in capfd.readouterr().err
    assert 1 in missing(out, plan)


def test_a_pod_that_slept_writes_no_second_part(out: Store, plan: Plan) -> None:
    zombie = pod(out, plan, 1, Slow(), chunk=2)
    time.sleep(0.1)
    os.kill(zombie, signal.SIGSTOP)
    for index in range(PODS):
        score_part(out, plan, index, FILTER, Other)
    whole = finish(out, plan)
    os.kill(zombie, signal.SIGCONT)
    assert status(zombie) == 0
    assert missing(out, plan) == []
    assert finish(out, plan) == whole
    assert ids(out, plan) == IDS


def test_an_index_that_runs_twice_with_other_batches_leaves_one_part(out: Store, plan: Plan) -> None:
    pods = [pod(out, plan, 2, student, chunk=chunk) for student, chunk in ((Slow(), 3), (Other(), 7))]
    assert [status(child) for child in pods] == [0, 0]
    part = look_at(out, plan, 2)
    assert part.done
    assert part.facts is not None
    assert part.facts.articles == read_table(out.get(plan.part(2))).num_rows


def test_nothing_is_decided_by_a_listing(out: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(prefix: str = "") -> Iterator[str]:
        raise AssertionError("a listing was asked for")

    monkeypatch.setattr(out, "keys", stale)
    monkeypatch.setattr(out._objects, "keys", stale)
    for index in range(PODS - 1):
        score_part(out, plan, index, FILTER, Reader)
    with pytest.raises(InputError, match="part 4 is missing"):
        finish(out, plan)
    assert missing(out, plan) == [4]
    score_part(out, plan, 4, FILTER, Reader)
    assert finish(out, plan).articles == 100
