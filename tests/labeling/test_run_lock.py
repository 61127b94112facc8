"""One run at a time asks one oracle with one rubric; the next finds its labels."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from distillery.components.labeling import run_lock
from distillery.components.labeling.label import label
from distillery.components.labeling.oracles.base import RawReply, Request
from distillery.components.labeling.run_lock import SILENT, Lost, RunLock, State
from distillery.components.store import Store, StoreError, open_store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.faults.disk import Disk, failing

PREFIX = "labels/demo/x"


class Time:
    """A clock that sleeping moves on; `meanwhile` happens at each sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


def lock(store: Store, time: Time | None = None) -> RunLock:
    time = time or Time()
    return RunLock(store, PREFIX, clock=lambda: time.now, sleep=time.sleep)


def forget(store: Store, prefix: str = PREFIX) -> None:
    """Take the holder out of a lock: the run was killed, and nobody has to find out first."""
    key = f"{prefix}/run.json"
    store.put(key, json.dumps({**json.loads(store.get(key)), "holder": None}).encode())


def test_a_run_that_was_broken_off_is_told_to_the_next(store: Store) -> None:
    first = lock(store)
    assert first.acquire() is False
    assert first.start(64, 0.5) == (Lost(), 0)
    forget(store)
    second = lock(store)
    assert second.acquire() is False
    assert second.start(8, 0.1) == (Lost(runs=1, calls=64, usd=0.5), 64)
    second.release(usd=0.01)
    third = lock(store)
    third.acquire()
    lost, calls = third.start(8, 0.1)
    assert (lost.runs, lost.calls, calls) == (2, 65, 1)
    assert lost.usd == pytest.approx(0.51)
    third.release(3, 0.03)
    fourth = lock(store)
    fourth.acquire()
    lost, calls = fourth.start(8, 0.1)
    assert (lost.runs, lost.calls, calls) == (3, 68, 3)
    assert lost.usd == pytest.approx(0.54)
    fourth.release()
    fifth = lock(store)
    fifth.acquire()
    assert fifth.start(8, 0.1) == (lost, 0)


@pytest.mark.parametrize("kind", ["open", "write", "fsync", "rename"])
def test_a_disk_that_fails_while_a_run_lets_go_leaves_no_calls_in_doubt(tmp_path: Path, kind: str) -> None:
    """They are all known by then: a later run with a small budget must not book them at their worst case."""
    store = open_store(str(tmp_path))
    lock = RunLock(store, "labels/demo/x")
    lock.acquire()
    lock.start(64, 6.4)
    with failing(Disk(tmp_path, kind, 1, errno.EIO)) as disk:
        lock.release()
    assert disk.failed
    after = RunLock(store, "labels/demo/x")
    after.acquire()
    assert after.start(1, 0.1)[0] == Lost()


@pytest.mark.parametrize(("settled", "calls"), [(0, 8), (91, 8), (92, 8), (97, 3), (100, 0), (130, 0)])
def test_no_more_calls_are_in_doubt_than_a_killed_run_had_articles_left(store: Store, settled: int, calls: int) -> None:
    first = RunLock(store, PREFIX, settled=lambda: 1_000)
    first.acquire()
    first.start(8, 0.8, left=100)
    first.beat()
    forget(store)
    second = RunLock(store, PREFIX, settled=lambda: 1_000 + settled)
    second.acquire()
    lost, known = second.start(1, 0.1, left=1)
    assert (lost.runs, lost.calls, known) == (int(calls > 0), calls, calls)
    assert lost.usd == pytest.approx(0.1 * calls)


def test_a_journal_that_has_lost_records_leaves_all_calls_in_doubt(store: Store) -> None:
    first = RunLock(store, PREFIX, settled=lambda: 1_000)
    first.acquire()
    first.start(8, 0.8, left=3)
    forget(store)
    second = RunLock(store, PREFIX, settled=lambda: 10)
    second.acquire()
    assert second.start(1, 0.1)[0] == Lost(runs=1, calls=8, usd=0.8)


def test_a_store_that_is_away_when_a_run_has_settled_all_its_articles_leaves_no_call_in_doubt(
    store: Store, flt: Filter, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that a journal knows are paid: a later run with a small budget must not book them at their worst case."""
    articles = write("a.jsonl", [{"id": f"a{n}", "title": f"Pump {n}", "content": f"It heats {n} homes."} for n in range(20)])

    def away(*arguments: Any) -> None:
        raise StoreError("is away")

    with monkeypatch.context() as patched:
        patched.setattr(RunLock, "_release", away)
        with pytest.raises(StoreError, match="is away"):
            label(store, flt, articles=articles, oracle=Counting(), concurrency=4)
    [key] = [key for key in store.keys("labels") if key.endswith("run.json")]
    assert State.read(store.get(key), key).open == 4
    more = write("b.jsonl", [{"id": "b", "title": "Boiler", "content": "It heats one home."}])
    forget(store, key.rpartition("/")[0])
    label(store, flt, articles=more, oracle=Counting())
    assert State.read(store.get(key), key).lost == Lost()


def test_who_comes_second_waits_for_the_end(store: Store) -> None:
    first, time, told = lock(store), Time(), []
    first.acquire()

    def meanwhile() -> None:
        first.beat() if time.now < 10 * SILENT else first.release()

    time.meanwhile = meanwhile
    assert lock(store, time).acquire(lambda: told.append(time.now)) is True
    assert told == [0.0]
    assert time.now == pytest.approx(10 * SILENT, abs=2)


def test_who_gives_no_sign_of_life_is_taken_over_from_and_stops(store: Store) -> None:
    first, time = lock(store), Time()
    first.acquire()
    first.start(64, 0.5)
    second = lock(store, time)
    assert second.acquire() is True
    assert SILENT <= time.now <= SILENT + 2
    with pytest.raises(Stopped, match="another run has taken over"):
        first.beat()
    first.release()
    second.beat()  # still its own
    assert second.start(1, 0.1)[1] == 64


def test_a_run_that_was_killed_on_this_machine_is_seen_to_be_gone(store: Store) -> None:
    code = "import sys; from tests.labeling.test_run_lock import lock; from distillery.components.store import open_store; "
    code += "lock(open_store(sys.argv[1])).acquire()"
    subprocess.run([sys.executable, "-c", code, store.uri], check=True)
    held = json.loads(store.get(f"{PREFIX}/run.json"))["holder"]
    assert lock(store).acquire() is False
    store.put(f"{PREFIX}/run.json", json.dumps({"holder": {**held, "machine": "another"}}).encode())
    assert lock(store).acquire() is True


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"holder": {"pid": "x"}, "open": []}',
        b'{"lost": {"what": 1}}',
        b'{"lost": {"runs": "1", "calls": 1, "usd": 0.5}}',
        b'{"lost": {"usd": -1}}',
        b'{"usd": "1e3"}',
        b'{"open": -2}',
        b'{"limit": [], "open": 1}',
        b'{"holder": {"id": 1}}',
        b'{"open": NaN}',
        b'{"format": 2, "open": 1}',
        b'["' + b"x" * 70_000 + b'"]',
    ],
)
def test_a_damaged_mark_counts_for_nothing(store: Store, data: bytes) -> None:
    store.put(f"{PREFIX}/run.json", data)
    taken = lock(store)
    assert taken.acquire() is False
    assert taken.start(1, 0.1) == (Lost(), 0)


@pytest.mark.parametrize("ends", [lambda taken: taken.release(0, 0.25), lambda taken: taken.release(3, 0.25), RunLock.release])
@pytest.mark.parametrize("store_fails", [False, True])
def test_a_run_that_ends_before_it_started_leaves_what_an_earlier_one_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch, ends: Callable[[RunLock], None], store_fails: bool
) -> None:
    killed = lock(store)
    killed.acquire()
    killed.start(64, 0.5)
    forget(store)
    second = lock(store)
    second.acquire()
    if store_fails:
        with monkeypatch.context() as patched:
            patched.setattr(store, "put_if", lambda *arguments, **more: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                second.start(8, 0.1)
    ends(second)
    third = lock(store)
    assert third.acquire() is False
    assert third.start(8, 0.1) == (Lost(runs=1, calls=64, usd=0.5), 64)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"holder": null, "lost": {"calls": 0, "runs": 0, "usd": 0.0}, "open": 3, "usd": 0.3}', 0.3),
        (
            b'{"holder": null, "limit": 0.4, "lost": {"calls": 2, "runs": 1, "usd": 0.1}, "open": 3, "records": 9, "usd": 0.3}',
            0.25,
        ),
        (b'{"open": 3, "usd": 0.3}', 0.3),
    ],
)
def test_a_lock_that_was_written_earlier_is_read(store: Store, document: bytes, expected: float) -> None:
    store.put(f"{PREFIX}/run.json", document)
    taken = lock(store)
    assert taken.acquire() is False
    assert taken.records == (9 if b"records" in document else 0)
    lost, calls = taken.start(8, 0.1)
    assert calls == 3
    assert lost.usd == pytest.approx(expected)
    assert json.loads(store.get(f"{PREFIX}/run.json"))["format"] == 1


class Counting:
    """Takes its time, and counts who was asked how often."""

    identity: Mapping[str, Any] = {"provider": "counting"}

    def __init__(self, seconds: float = 0.005, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._seconds, self._error = seconds, error

    async def ask(self, request: Request) -> RawReply:
        self.asked.append(request.article.id)
        await asyncio.sleep(self._seconds)
        if self._error:
            raise self._error
        return RawReply(json.dumps({"readiness": len(self.asked) % 9, "benefit": 2}))

    async def close(self) -> None:
        pass


def test_two_runs_at_once_pay_each_article_once_and_end_with_the_same_label_set(
    store: Store, flt: Filter, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "LOOK", 0.02)
    monkeypatch.setattr(run_lock, "BEAT", 0.02)
    articles = write("a.jsonl", [{"id": f"a{n}", "title": f"Pump {n}", "content": f"It heats {n} homes."} for n in range(100)])
    oracles, found = [Counting(), Counting()], {}

    def work(number: int) -> None:
        record = label(store, flt, articles=articles, oracle=oracles[number], concurrency=4)
        found[number] = record.outputs["label_set"]

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found[0] == found[1]
    assert sorted(len(oracle.asked) for oracle in oracles) == [0, 100]


def test_a_run_that_fails_lets_go(store: Store, flt: Filter, write: Callable[..., str]) -> None:
    articles = write("a.jsonl", [{"id": f"a{n}", "title": f"Pump {n}", "content": f"It heats {n} homes."} for n in range(5)])
    for _ in range(2):  # the second would wait if the first had not let go
        with pytest.raises(InputError, match="no such model"):
            label(store, flt, articles=articles, oracle=Counting(error=InputError("no such model")))


def test_a_run_that_was_taken_over_from_stops_and_keeps_its_labels(
    store: Store, flt: Filter, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "BEAT", 0.01)
    articles = write("a.jsonl", [{"id": f"a{n}", "title": f"Pump {n}", "content": f"It heats {n} homes."} for n in range(100)])

    class Usurped(Counting):
        async def ask(self, request: Request) -> RawReply:
            if len(self.asked) == 10:
                [key] = [key for key in store.keys("labels") if key.endswith("run.json")]
                store.put(key, b'{"holder": {"id": "another", "machine": "another", "pid": 1}}')
            return await super().ask(request)

    oracle = Usurped(0.02)
    with pytest.raises(Stopped, match="another run has taken over") as caught:
        label(store, flt, articles=articles, oracle=oracle, concurrency=2)
    assert 10 < len(oracle.asked) < 100
    assert caught.value.facts["labeled"] == len(oracle.asked)
