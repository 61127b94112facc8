"""Concurrency, rates, money and the breaker, each by itself under a clock that the test moves; the engine's garbage."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from distillery.components.labeling.breaker import FAILURES, WINDOW, Breaker
from distillery.components.labeling.budget import Budget
from distillery.components.labeling.engine import COLLECTIONS, run
from distillery.components.labeling.limits import Rate, Slots
from distillery.components.labeling.oracles.prices import read_prices
from distillery.filters.errors import Stopped


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock | None = None) -> Breaker:
    return Breaker("m", ["readiness", "benefit"], lambda: 7, clock or Clock())


def test_a_429_cuts_once_for_all_calls_that_were_under_way() -> None:
    clock = Clock()
    slots = Slots(64, clock)
    began = [clock() for _ in range(10)]
    clock.now += 0.3
    for one in began:
        slots.limited(one)
    assert slots.limit == pytest.approx(64 * 0.7)
    for _ in range(30):
        clock.now += 0.3
        slots.limited(clock())
    assert slots.limit == 8, "never below an eighth: 429s at random must not stop the run"


def test_good_rounds_bring_it_back_one_call_a_round() -> None:
    clock = Clock()
    slots = Slots(64, clock)
    slots.limited(clock())
    before = slots.limit
    for _ in range(int(before) + 1):
        began, clock.now = clock(), clock.now + 0.3
        slots.answered(began)
    assert before + 0.9 < slots.limit < before + 1.1
    for _ in range(64 * 64):
        slots.answered(clock() - 0.3)
    assert slots.limit == 64


def test_replies_that_take_twice_as_long_cut_it() -> None:
    clock = Clock()
    slots = Slots(32, clock)
    for _ in range(64):
        slots.answered(clock() - 0.3)
    assert slots.limit == 32
    for _ in range(64):
        clock.now += 1
        slots.answered(clock() - 0.7)
    assert slots.limit < 32


def test_no_more_calls_than_places_and_a_cancelled_wait_loses_none() -> None:
    async def work() -> tuple[int, int]:
        slots, most = Slots(3), 0

        async def call() -> None:
            nonlocal most
            await slots.acquire()
            most = max(most, slots.used)
            await asyncio.sleep(0.001)
            slots.release()

        tasks = [asyncio.create_task(call()) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[5:9]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return most, slots.used

    assert asyncio.run(work()) == (3, 0)


def test_no_minute_holds_more_than_its_share() -> None:
    clock = Clock()
    rate = Rate(120, clock)
    times = [clock() + rate.wait() for _ in range(400)]
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= 121
    tokens = Rate(6_000, clock)
    assert tokens.wait(3_000) == 0
    assert tokens.wait(1) == pytest.approx(30)
    tokens.correct(-1_000)  # the call took less than was thought
    assert tokens.wait(1) == pytest.approx(20, abs=0.1)
    assert Rate(None, clock).wait(10**9) == 0


def test_calls_in_flight_are_counted_against_the_budget() -> None:
    async def work() -> tuple[float, list[bool]]:
        budget, granted = Budget(1.0), list[bool]()

        async def call() -> None:
            if ok := await budget.reserve(0.3):
                assert budget.spent + budget.reserved <= 1.0 + 1e-9
                await asyncio.sleep(0.001)
                budget.settle(0.3, 0.1)
            granted.append(ok)

        await asyncio.gather(*(call() for _ in range(40)))
        return budget.spent, granted

    spent, granted = asyncio.run(work())
    assert 0.7 < spent <= 1.0
    assert sum(granted) == 8, "seven cost 0.7, the eighth fits at its worst, the ninth does not"


def test_a_bill_that_never_came_stays_taken() -> None:
    async def work() -> bool:
        budget = Budget(1.0)
        assert await budget.reserve(0.6)
        budget.settle(0.6, 0.0, unknown=True)
        return await budget.reserve(0.6)

    assert asyncio.run(work()) is False


def test_twenty_failures_in_a_row_stop_and_a_label_between_does_not() -> None:
    clock, told = Clock(), breaker()
    for number in range(FAILURES * 3):
        told.failed("bad", clock(), paid=True)
        if number % 15 == 0:
            told.labelled((1.0, 2.0))
    told = breaker()
    for _ in range(FAILURES - 1):
        told.failed("bad", clock(), paid=True)
    with pytest.raises(Stopped, match=r"20 calls in a row failed, the last because bad; 7 labels are kept") as caught:
        told.failed("bad", clock(), paid=True)
    assert "start again with the same command" in caught.value.hint


def test_a_connection_lost_under_many_calls_is_one_failure() -> None:
    clock = Clock()
    told, began = breaker(clock), clock()
    clock.now += 1
    for _ in range(200):
        told.failed("connection lost", began, paid=False)
    clock.now += 1
    for _ in range(FAILURES - 2):
        told.failed("connection lost", clock(), paid=False)
    with pytest.raises(Stopped, match="in a row"):
        told.failed("connection lost", clock(), paid=False)


@pytest.mark.parametrize(
    ("scores", "what"),
    [
        (lambda n: (3.0, 3.0), "all alike"),
        (lambda n: (n % 11 / 1.0, 0.0), "benefit is 0 in each of the last 200"),
        (lambda n: (n % 2 * 0.1, 5.0), "all alike"),
    ],
)
def test_labels_that_say_nothing_stop(scores: Callable[[int], tuple[float, ...]], what: str) -> None:
    told = breaker()
    for number in range(WINDOW - 1):
        told.labelled(scores(number))
    with pytest.raises(Stopped, match=what):
        told.labelled(scores(WINDOW))


def test_labels_that_differ_go_on_however_many_are_low() -> None:
    told = breaker()
    for number in range(5 * WINDOW):
        told.labelled((number % 9 / 8, 0.0 if number % 50 else 4.0))


def test_nothing_but_429s_for_ten_minutes_stops() -> None:
    clock = Clock()
    told = breaker(clock)
    told.limited()
    clock.now += 599
    told.limited()
    clock.now += 2
    with pytest.raises(Stopped, match="turned away"):
        told.limited()


@pytest.mark.parametrize(
    ("model", "date"),
    [
        ("gpt-4o-mini-2024-07-18", "2026-06-20"),
        ("publishers/google/models/gemini-2.5-flash-001", "2026-06-20"),
        ("gemini-2.5-pro@latest", "2026-06-20"),
        ("gemini-3-flash-preview", "2026-07-04"),
        ("deepseek-flash", "2026-10-27"),
        ("gpt-4o-mini-tuned", None),
    ],
)
def test_a_price_holds_for_dated_versions_and_says_its_own_date(model: str, date: str | None) -> None:
    found = read_prices().of(model)
    assert (found and found[1]) == date


@pytest.mark.parametrize("fails", [False, True])
def test_garbage_is_looked_for_less_often_while_calls_run_and_as_before_afterwards(fails: bool) -> None:
    async def work() -> tuple[int, int, int]:
        if fails:
            raise Stopped("no more", hint="-")
        return gc.get_threshold()

    gc.unfreeze()  # what a command within this process has frozen
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    if fails:
        with pytest.raises(Stopped):
            run(work())
    else:
        assert run(work()) == COLLECTIONS != before
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
