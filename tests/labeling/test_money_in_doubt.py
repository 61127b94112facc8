"""Unknown is not nothing: what nobody says was billed counts at its worst case, and one kill does not use up a small budget."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import Rejects, read_articles
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.engine import Engine
from distillery.components.labeling.journal import Journal
from distillery.components.labeling.label import label, open_journal
from distillery.components.labeling.oracles.base import (
    Besides,
    OutOfCredit,
    RateLimited,
    RawReply,
    Request,
    Usage,
)
from distillery.components.labeling.records import Answer, Attempt, Failure, GivenUp
from distillery.components.labeling.run_lock import Lost, RunLock
from distillery.components.store import Store, digest_json, open_store
from distillery.filters.errors import InputError, OverBudget, Stopped
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from tests.labeling.conftest import FILTER
from tests.labeling.gateway import PRICES, Gateway, booked, most, rows
from tests.labeling.oracles.moods import Mood
from tests.labeling.slow_labeling import PRICE
from tests.labeling.test_run_lock import forget
from tests.labeling.virtual import Played

SCRIPT, ROOT = Path(__file__).with_name("slow_labeling.py"), Path(__file__).parents[2]
Write = Callable[..., str]


@pytest.fixture
def filter_text() -> str:
    return FILTER.replace("model: recorded", "provider: openai, model: recorded")


@pytest.fixture
def flt(filter_text: str) -> Filter:
    return load_filter_text(filter_text, "demo.yaml")


MOODS: dict[str, Callable[[int], str]] = {
    "no bill at all": lambda n: "silent",
    "every third bill is missing": lambda n: "silent" if n % 3 == 0 else "stated",
    "every fourth is a 500": lambda n: "500" if n % 4 == 0 else "stated",
    "every fifth is filtered": lambda n: "filtered" if n % 5 == 0 else "stated",
    "every third is turned away": lambda n: "429" if n % 3 == 0 else "stated",
    "malformed without a bill": lambda n: "malformed" if n % 6 == 0 else "stated",
    "a bit of all": lambda n: ("silent", "stated", "500", "stated", "stated", "malformed", "429", "filtered")[n % 8],
}


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("share", [0.05, 0.98])
def test_the_bill_never_passes_the_budget_whatever_is_said_of_it(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch, mood: str, share: float
) -> None:
    monkeypatch.setattr("distillery.components.labeling.engine.PAUSE", 0.001)
    path, cap, gateway = write("a.jsonl", rows(40)), 10.5 * most(flt), Gateway(flt, share, MOODS[mood])
    for budget in (cap, 2 * cap):
        with contextlib.suppress(Stopped):
            label(store, flt, articles=path, oracle=gateway, prices=PRICES, budget=budget, concurrency=64)
        known, unknown = booked(store, flt)
        assert gateway.bill <= known + unknown + 1e-9
        assert known + unknown <= budget + 1e-9
    assert len(gateway.asked) >= 10, "and the budget is used"


@pytest.mark.parametrize("seed", range(3))
def test_calls_that_are_given_up_never_take_the_bill_beyond_the_budget(store: Store, flt: Filter, seed: int) -> None:
    cap, hanging = 10.5 * most(flt), Mood(latency=0.3, faults={"hang": 0.2, "500": 0.1})
    played = Played(store, flt, 400, [hanging], concurrency=64, seed=seed, price=PRICE, budget=Budget(cap))
    faults = [fault for _, fault in played.oracle.began]
    bill = sum(0.98 * most(flt) if fault else 0.0007 for fault in faults)  # all that was not answered is billed, and dearly
    assert played.stopped is not None
    assert "the next call may cost" in played.stopped.what
    assert bill <= played.journal.usd + played.journal.unknown_usd + 1e-9
    assert played.journal.usd + played.journal.unknown_usd <= cap
    assert played.oracle.most_in_flight <= 5, "half of what is left"
    assert faults.count("hang") > 2
    assert played.engine.budget.unkept + played.engine.budget.reserved < 1e-9


def test_what_nobody_knows_is_durable_and_counts_in_the_next_run(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distillery.components.labeling.engine.PAUSE", 0.001)
    gateway = Gateway(flt, 0.05, lambda n: "500" if n < 3 else "silent" if n == 3 else "stated")
    record = label(store, flt, articles=write("a.jsonl", rows(10)), oracle=gateway, prices=PRICES, concurrency=1)
    assert (record.outputs["rows"], record.facts["unknown"], record.facts["calls"]) == (10, 4, 13)
    assert record.facts["usd_unknown"] == pytest.approx(4 * most(flt), rel=0.01)
    assert booked(store, flt)[1] == pytest.approx(4 * most(flt), rel=0.01)
    more, asked = write("b.jsonl", rows(20)), len(gateway.asked)
    with pytest.raises(Stopped, match=r"are held for calls whose bill nobody knows"):
        label(store, flt, articles=more, oracle=gateway, prices=PRICES, budget=4.5 * most(flt))
    assert len(gateway.asked) == asked
    assert label(store, flt, articles=more, oracle=gateway, prices=PRICES, budget=8 * most(flt)).outputs["rows"] == 20


def test_a_service_that_bills_more_than_the_worst_case_raises_it(store: Store, flt: Filter, write: Write) -> None:
    gateway, cap = Gateway(flt, 3.0, lambda n: "stated"), 20 * most(flt)
    with pytest.raises(Stopped, match="the next call may cost"):
        label(store, flt, articles=write("a.jsonl", rows(40)), oracle=gateway, prices=PRICES, budget=cap, concurrency=2)
    assert gateway.bill <= cap
    assert len(gateway.asked) == 6


def test_a_bill_that_is_not_known_is_a_line_of_its_own_and_no_attempt(store: Store) -> None:
    def opened() -> Journal:
        return Journal(store, "demo", rubric=digest_json("r"), oracle=digest_json("o"), dimensions=["readiness", "benefit"])

    name, other = digest_json(1), digest_json(2)
    journal = opened()
    journal.append([GivenUp(name, "no reply in 5 s", 0.5), GivenUp(name, "no reply in 5 s", 0.5)])
    journal.append([Failure(name, Attempt("empty", ""), usd=0.25), Answer(other, (1.0, 2.0), usage=Usage(5, 0, 1), usd=0.125)])
    journal.append([Answer(name, (1.0, 2.0), usd=0.25)])
    again = opened()
    assert (again.damaged, again.count(), again.usd, again.unknown_usd) == (0, 2, 0.125, 1.5)
    answer = again.answer(name)
    assert answer is not None
    assert (answer.usage, answer.usd) == (Usage(), 0.25)


@pytest.mark.parametrize("wait", [0, 3, 12])
def test_a_killed_run_with_a_small_budget_goes_on_with_the_same_one(
    tmp_path: Path, flt: Filter, filter_text: str, write: Write, wait: int
) -> None:
    articles, calls, budget = write("a.jsonl", rows(20)[1:7]), tmp_path / "calls", 6 * most(flt)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "store"), articles, str(calls)]

    def start(seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, f"{seconds}", filter_text, f"{budget}"], stdout=subprocess.PIPE, text=True, cwd=ROOT,
                                stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip

    run = start(0.3)
    while not calls.exists() or len(calls.read_text().splitlines()) < min(wait, 1):
        assert run.poll() is None
        time.sleep(0.005)
    time.sleep(wait / 10)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    out, err = start(0.0).communicate()
    assert out, err
    assert json.loads(out)["rows"] == 6
    [state] = [json.loads(path.read_text()) for path in (tmp_path / "store").glob("labels/*/*/run.json")]
    assert state["lost"]["usd"] <= budget / 2 + 1e-9
    journal = open_journal(open_store(str(tmp_path / "store")), flt, {"provider": "slow"})
    assert (journal.damaged, journal.count()) == (0, 6)
    assert journal.usd + journal.unknown_usd + state["lost"]["usd"] <= budget + 1e-9


def killed(store: Store, flt: Filter, calls: int, usd: float, **more: float) -> None:
    """Leaves what a run leaves that was killed with so many calls in flight."""
    prefix = open_journal(store, flt, {"provider": "gateway"}).prefix
    lock = RunLock(store, prefix)
    lock.acquire()
    lock.start(calls, usd, **more)
    forget(store, prefix)


def test_what_a_killed_run_left_is_not_forgotten_by_one_that_finds_nothing_to_do(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(store, flt, 4, 4 * most(flt))
    path, gateway, acquire = write("a.jsonl", rows(3)), Gateway(flt, 0.05, lambda n: "stated"), RunLock.acquire

    def meanwhile(self: RunLock, *arguments: Any) -> bool:  # another run labels all before it is this one's turn
        done = [Answer(article.digest, (1.0, 2.0)) for article in read_articles(Path(path), rejects=Rejects())]
        open_journal(store, flt, gateway.identity).append(done)
        return acquire(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(RunLock, "acquire", meanwhile)
        label(store, flt, articles=path, oracle=gateway, prices=PRICES)
    assert gateway.asked == []
    assert lost(store, flt)[0].usd == pytest.approx(4 * most(flt), rel=0.01)


@pytest.mark.parametrize("error", [ZeroDivisionError("gone"), KeyboardInterrupt(), Stopped("gone", hint="again")])
@pytest.mark.parametrize(
    "place", ["label.tell_lost", "label.open_oracle", "label._Labeling._recount", "run_lock.RunLock.start"]
)
def test_what_a_killed_run_left_is_not_forgotten_by_one_that_ends_before_it_asks(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException
) -> None:
    killed(store, flt, 4, 4 * most(flt))
    path, gateway, acquire = write("a.jsonl", rows(3)), Gateway(flt, 0.05, lambda n: "stated"), RunLock.acquire

    def meanwhile(self: RunLock, *arguments: Any) -> bool:  # another run leaves something to count again
        open_journal(store, flt, gateway.identity).append([GivenUp(digest_json("other"), "no reply", 0.0)])
        return acquire(self, *arguments)

    def failing(*arguments: Any, **more: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(RunLock, "acquire", meanwhile)
        patched.setattr(f"distillery.components.labeling.{place}", failing)
        if place == "label.open_oracle":
            patched.setattr("distillery.components.labeling.label.oracle_identity", lambda flt: gateway.identity)
        with pytest.raises(type(error)):
            label(store, flt, articles=path, prices=PRICES, oracle=None if place == "label.open_oracle" else gateway)
    doubt, calls = lost(store, flt)
    assert (doubt.runs, doubt.calls, calls) == (1, 4, 4), "and nobody had to wait"
    assert doubt.usd == pytest.approx(4 * most(flt), rel=0.01)


class Failing(Gateway):
    def __init__(self, flt: Filter, error: BaseException, after: int) -> None:
        super().__init__(flt, 0.05, lambda n: "stated")
        self._error, self._after = error, after

    async def ask(self, request: Request) -> RawReply:
        if len(self.asked) >= self._after:
            raise self._error
        return await super().ask(request)


class Interrupted(Failing):
    async def ask(self, request: Request) -> RawReply:
        if len(self.asked) == self._after:
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does
            self._after = -1
            await asyncio.sleep(5)
        return await Gateway.ask(self, request)


def lost(store: Store, flt: Filter) -> tuple[Lost, int]:
    lock = RunLock(store, open_journal(store, flt, {"provider": "gateway"}).prefix)
    lock.acquire()
    return lock.start(1, 0.0)


def test_a_refused_key_costs_no_budget(store: Store, flt: Filter, write: Write) -> None:
    path = write("a.jsonl", rows(20))
    for _ in range(3):
        with pytest.raises(InputError, match="the key is refused"):
            label(store, flt, articles=path, oracle=Failing(flt, InputError("the key is refused"), 0), prices=PRICES)
    assert lost(store, flt) == (Lost(), 0)


def test_an_error_that_nobody_foresaw_leaves_its_call_in_doubt(store: Store, flt: Filter, write: Write) -> None:
    path, failing = write("a.jsonl", rows(20)), Failing(flt, ZeroDivisionError("in somebody's oracle"), 3)
    with pytest.raises(ZeroDivisionError):
        label(store, flt, articles=path, oracle=failing, prices=PRICES, concurrency=1)
    found, calls = lost(store, flt)
    assert calls == found.calls == 1
    assert found.usd == pytest.approx(most(flt), rel=0.01)


@pytest.mark.parametrize("bill", ["stated", "unknown", "none"])
def test_a_used_up_quota_leaves_nothing_in_doubt_whatever_its_call_was_billed(
    store: Store, flt: Filter, write: Write, bill: str
) -> None:
    cost = most(flt) / 2
    usage = Usage(round(cost * 1e6), 0, 0) if bill == "stated" else Usage()
    error = OutOfCredit("402 no credit", usage=usage, unknown=bill == "unknown")
    with pytest.raises(Stopped, match="402 no credit"):
        label(store, flt, articles=write("a.jsonl", rows(20)), oracle=Failing(flt, error, 3), prices=PRICES, concurrency=1)
    known, doubt = booked(store, flt)
    assert known + doubt == pytest.approx(
        3 * 0.05 * most(flt) + {"stated": cost, "unknown": most(flt), "none": 0.0}[bill], rel=0.01
    ), "it is a line of the journal"
    assert lost(store, flt) == (Lost(), 0)


@pytest.mark.parametrize("error", [Stopped("stopped: enough", hint="again"), ZeroDivisionError("in somebody's oracle")])
def test_bills_that_found_no_place_in_the_store_stay_in_doubt_whatever_ends_the_run(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Last(Gateway):
        async def ask(self, request: Request) -> RawReply:
            if len(self.asked) == 2:
                monkeypatch.setattr(Journal, "add", lambda *arguments, **more: 1 / 0)
                self.asked.append(request.article.id)
                self.bill += self._one
                engine.stop(error)
                return RawReply("no scores", Usage(round(self._one * 1e6), 0, 0))
            return await super().ask(request)

    engine: Engine
    made = Engine.__init__

    def watched(self: Engine, *arguments: Any, **more: Any) -> None:
        nonlocal engine
        engine = self
        made(self, *arguments, **more)

    monkeypatch.setattr(Engine, "__init__", watched)
    gateway = Last(flt, 0.5, lambda n: "stated")
    with pytest.raises(type(error)):
        label(store, flt, articles=write("a.jsonl", rows(20)), oracle=gateway, prices=PRICES, concurrency=1)
    known, doubt = booked(store, flt)
    assert gateway.bill == pytest.approx(known + doubt + lost(store, flt)[0].usd, rel=0.01)


class Dear(Gateway):
    """Bills its refusals, too."""

    async def ask(self, request: Request) -> RawReply:
        if len(self.asked) % 2 == 0:
            self.asked.append(request.article.id)
            self.bill += self._one
            raise RateLimited("429", usage=Usage(round(self._one * 1e6), 0, 0), retry_after=0.0)
        return await super().ask(request)


def test_a_refusal_that_is_billed_counts_and_a_budget_that_is_nearly_used_up_ends_the_run(
    store: Store, flt: Filter, write: Write
) -> None:
    gateway, cap = Dear(flt, 0.2, lambda n: "stated"), 5.5 * most(flt)
    with pytest.raises(OverBudget, match="the next call may cost") as caught:
        label(store, flt, articles=write("a.jsonl", rows(40)), oracle=gateway, prices=PRICES, budget=cap, concurrency=4)
    assert caught.value.limit == cap
    known, unknown = booked(store, flt)
    assert gateway.bill == pytest.approx(known + unknown, abs=1e-5)
    assert 4 * most(flt) < gateway.bill <= cap


def test_an_interrupted_run_leaves_only_the_calls_in_flight_in_doubt(store: Store, flt: Filter, write: Write) -> None:
    failing = Interrupted(flt, KeyboardInterrupt(), 5)
    with pytest.raises(KeyboardInterrupt):
        label(store, flt, articles=write("a.jsonl", rows(40)), oracle=failing, prices=PRICES, concurrency=4)
    found, calls = lost(store, flt)
    assert calls <= 4
    assert found.usd <= 4 * most(flt) * 1.01
    known, unknown = booked(store, flt)
    assert failing.bill <= known + unknown + found.usd + 1e-9


class Caching(Gateway):
    """Makes a cache with its third call, for half of a call's worst case; `then` is what becomes of that call."""

    def __init__(self, flt: Filter, then: str, *, unknown: bool) -> None:
        super().__init__(flt, 0.05, lambda n: "stated")
        self._then, self._unknown, self._half = then, unknown, round(most(flt) * 1e6 / 2)

    async def ask(self, request: Request) -> RawReply:
        if len(self.asked) != 2:
            return await super().ask(request)
        request.besides.append(Besides("a cache", Usage(self._half, 0, 0), unknown=self._unknown))
        self.bill += self._half / 1e6
        if self._then == "given up":
            self.asked.append(request.article.id)
            await asyncio.sleep(60)
        if self._then == "refused key":
            raise InputError("the key is refused")
        if self._then == "broken":
            raise ZeroDivisionError("in somebody's oracle")
        self._states = lambda n: self._then if n == 2 else "stated"
        return await super().ask(request)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize(
    "then", ["stated", "silent", "429", "500", "filtered", "malformed", "given up", "refused key", "broken"]
)
def test_what_a_call_is_billed_besides_its_reply_counts_whatever_becomes_of_it(
    store: Store, flt: Filter, write: Write, monkeypatch: pytest.MonkeyPatch, then: str, unknown: bool
) -> None:
    monkeypatch.setattr("distillery.components.labeling.engine.PAUSE", 0.001)
    monkeypatch.setattr("distillery.components.labeling.deadline.FLOOR", 0.2)
    path, gateway = write("a.jsonl", rows(12)), Caching(flt, then, unknown=unknown)
    with contextlib.suppress(InputError, ZeroDivisionError):
        label(store, flt, articles=path, oracle=gateway, prices=PRICES, concurrency=1)
    known, doubt = booked(store, flt)
    assert gateway.bill <= known + doubt + 1e-9, "each cost is a line of the journal"
    sure, half = gateway.bill - gateway._half / 1e6, gateway._half / 1e6
    unsaid = then in ("silent", "500", "filtered", "malformed")  # the call is billed, and no bill comes with it
    assert known == pytest.approx(sure + half * (not unknown) - unsaid * gateway._one, rel=0.01)
    expected = half * unknown + most(flt) * (unsaid or then == "given up")
    assert doubt == pytest.approx(expected, rel=0.02)
