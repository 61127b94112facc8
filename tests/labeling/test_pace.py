"""Storms are probed and not fed, refusals at random change nothing, and a call is given up when it takes unusually long."""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from distillery.components.labeling.deadline import FLOOR, TIMES
from distillery.components.labeling.engine import Engine
from distillery.components.labeling.limits import Slots
from distillery.components.labeling.pace import SEEN, Pace
from distillery.components.store import Store
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from distillery.filters.prompt import article_part, prompt_prefix
from tests.labeling.oracles.moods import Mood
from tests.labeling.virtual import Played, VirtualLoop, articles

# Thirty percent refused, ten failed, two hung for 90 s, five unusable: no storm.
ROUGH = Mood(latency=0.05, faults={"429": 0.3, "500": 0.1, "hang": 0.02, "malformed": 0.05}, retry_after=1.0)
REFUSING = Mood(seconds=60.0, latency=0.02, faults={"429": 1.0})
WELL = Mood(latency=0.3)
WELL_FOR_5 = Mood(seconds=5.0, latency=0.3)


@pytest.mark.parametrize(
    ("n", "seconds"),
    [(150, 60), pytest.param(1_000, 120, marks=pytest.mark.slow)],
)
def test_hung_connections_and_refusals_at_random_hold_up_only_themselves(
    store: Store, flt: Filter, n: int, seconds: float
) -> None:
    played = Played(store, flt, n, [ROUGH])
    asked = [fault for _, fault in played.oracle.began]
    assert played.tally.answered + played.tally.dead == n
    assert played.tally.dead <= 2 + n // 200, "three unusable replies to one article are rare"
    assert asked.count("hang") > 0
    assert played.seconds <= seconds
    assert played.lowest > 16, "refusals at random leave at least half of the places"
    assert not played.engine.calls.pace.storm
    assert set(played.oracle.answered.values()) == {1}, "what was answered was asked again"
    assert played.oracle.most_in_flight <= 32
    again = sum(played.oracle.asked.values()) - n
    assert again <= sum(asked.count(fault) for fault in ROUGH.faults), "each refusal costs at most one more call"


@pytest.mark.parametrize("n", [150, 600])
def test_a_storm_gets_two_probes_a_second_whatever_the_number_of_articles(store: Store, flt: Filter, n: int) -> None:
    played = Played(store, flt, n, [REFUSING, WELL])
    oracle = played.oracle
    times = [at for at, _ in oracle.began if at < 60]
    assert len(times) <= 32 + 2 * 60
    assert played.most_within(1.0, 0.1, 60) <= 2
    assert played.tally.answered == n
    assert oracle.first_answer is not None
    assert oracle.first_answer <= 62, "it is asked again soon after"


def test_full_speed_is_back_within_half_a_minute_of_the_first_answer(store: Store, flt: Filter) -> None:
    played = Played(store, flt, 900, [REFUSING, Mood(latency=1.0)], concurrency=32)
    first = played.oracle.first_answer
    assert first is not None
    full = next(at for at, flying in played.oracle.flying if at > first and flying == 32)
    assert full - first <= 30
    later = [flying for at, flying in played.oracle.flying if full + 1 < at < played.oracle.began[-1][0] - 2]
    assert sum(later) / len(later) >= 0.9 * 32


def test_a_service_that_asks_to_be_left_alone_is_left_alone(store: Store, flt: Filter) -> None:
    refusing = Mood(seconds=60.0, latency=0.02, faults={"429": 1.0}, retry_after=20.0)
    played = Played(store, flt, 150, [refusing, WELL])
    assert len([at for at, _ in played.oracle.began if at < 60]) <= 32 + 4
    assert played.tally.answered == 150


def test_a_storm_that_comes_back_is_probed_again(store: Store, flt: Filter) -> None:
    moods = [WELL_FOR_5, REFUSING, Mood(seconds=4.0, latency=0.3), REFUSING, WELL]
    played = Played(store, flt, 700, moods)
    assert played.tally.answered == 700
    assert played.most_within(1.0, 6.5, 64.9) <= 2
    assert played.most_within(10.0, 75, 128.9) <= 20


def test_twenty_refusals_make_a_storm_and_fewer_or_one_answer_in_ten_do_not() -> None:
    clock = [100.0]
    pace = Pace(32, lambda: clock[0])
    for _ in range(SEEN - 1):
        pace.refused()
    assert not pace.storm
    pace.refused()
    assert pace.storm
    pace = Pace(32, lambda: clock[0])
    for number in range(400):
        clock[0] += 0.02
        if number % 10 == 0:
            pace.answered(clock[0])
        else:
            pace.refused()
        assert not pace.storm, "nine of ten are no storm"
    pace = Pace(32, lambda: clock[0])
    for _ in range(100):  # fewer than the probes of a storm
        clock[0] += 0.6
        pace.refused()
    assert not pace.storm


def test_an_answer_from_before_the_storm_does_not_end_it() -> None:
    clock = [100.0]
    pace = Pace(32, lambda: clock[0])
    for _ in range(SEEN):
        pace.refused()
    clock[0] += 2
    assert pace.answered(99.0) is False
    assert pace.answered(101.0) is True
    assert pace.answered(101.5) is False, "the first one only"


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_refusals_at_random_leave_the_places(share: float) -> None:
    now, slots = 100.0, Slots(64, lambda: now)
    draw = random.Random(5)
    lowest = 64.0
    for _ in range(5_000):
        now += 0.05
        if draw.random() < share:
            slots.limited(now)
        else:
            slots.answered(now - 0.05)
        lowest = min(lowest, slots.limit)
    assert lowest > 16
    for _ in range(200):
        now += 0.05
        slots.limited(now)
    assert slots.limit == 8
    slots.restore()
    assert slots.limit == 64


def test_the_deadline_follows_what_is_usual(store: Store, flt: Filter) -> None:
    quick = Played(store, flt, 100, [Mood(latency=0.05)])
    quick.engine.calls.deadline._open.clear()
    assert quick.engine.calls.deadline._usual() == FLOOR
    assert quick.oracle.most_in_flight == 32
    slow = Played(store, flt, 300, [Mood(latency=4.0, spread=0.2)], seed=3)
    assert slow.tally.unknown == 0, "nothing that is usual is given up"
    usual = slow.engine.calls.deadline._usual()
    assert TIMES * 4.0 < usual <= slow.engine.calls.deadline.most


def test_a_service_that_becomes_slow_is_waited_for(store: Store, flt: Filter) -> None:
    played = Played(store, flt, 300, [Mood(seconds=2.0, latency=0.3), Mood(latency=20.0)])
    assert played.tally.answered == 300
    assert max(played.oracle.asked.values()) <= 4
    assert sum(played.oracle.asked.values()) <= 300 + 4 * 32
    assert set(played.oracle.answered.values()) == {1}


def test_replies_that_arrived_while_the_machine_slept_are_not_missed(store: Store, flt: Filter) -> None:
    async def sleeps(loop: VirtualLoop, engine: Engine) -> None:
        for _ in range(3):
            await asyncio.sleep(1.1)
            loop.now += 3_600

    played = Played(store, flt, 300, [Mood(latency=0.5)], meanwhile=sleeps)
    assert played.tally.answered == 300
    assert set(played.oracle.asked.values()) == {1}, "a reply that lay there was asked for again"


def test_a_call_of_a_small_run_that_hangs_is_given_up_soon(store: Store, flt: Filter) -> None:
    moods = [Mood(seconds=0.001, latency=0.1, faults={"hang": 0.2}), Mood(latency=0.1)]
    played = Played(store, flt, 10, moods, concurrency=64, seed=2)
    assert any(fault == "hang" for _, fault in played.oracle.began)
    assert played.tally.answered == 10
    assert played.seconds < 20


@pytest.mark.parametrize("prompt", ["How much good it does.", "How much good it does, in words. " * 60])
@pytest.mark.parametrize("concurrency", [1, 16])
def test_no_minute_holds_more_tokens_than_its_share(store: Store, filter_text: str, prompt: str, concurrency: int) -> None:
    """A call takes 340 tokens; it is thought to take fewer, or more, until its reply says so."""
    share, n = 34_000, 300
    text = filter_text.replace("maxWords: 60", f"tokensPerMinute: {share}").replace("How much good it does.", f"'{prompt}'")
    played = Played(store, load_filter_text(text, "demo.yaml"), n, [Mood(latency=0.3)], concurrency=concurrency)
    assert played.tally.answered == n
    usage = played.tally.usage
    assert usage.input_tokens + usage.output_tokens == n * 340
    assert played.most_within(60.0, 0.0, math.inf) * 340 <= share + (concurrency + 1) * 340, "those in flight are estimates"
    assert played.seconds == pytest.approx(n * 340 * 60 / share, rel=0.1), "and the share is used"


def test_a_reply_without_a_bill_counts_as_the_estimate(store: Store, filter_text: str) -> None:
    text = filter_text.replace("maxWords: 60", "tokensPerMinute: 34000")
    flt = load_filter_text(text, "demo.yaml")
    played = Played(store, flt, 200, [Mood(latency=0.3, faults={"500": 0.5}, seconds=20.0), Mood(latency=0.3)], concurrency=4)
    [article, *_] = [article for _, article in articles(1)]
    size = len((prompt_prefix(flt) + article_part(flt, article.title, article.content)).encode()) / 4
    unbilled = sum(fault == "500" for _, fault in played.oracle.began)
    assert unbilled >= 4
    assert played.seconds == pytest.approx((200 * 340 + unbilled * size) * 60 / 34_000, rel=0.1)


def test_stopping_ends_every_wait(store: Store, flt: Filter) -> None:
    from distillery.filters.errors import Stopped

    async def stops(loop: VirtualLoop, engine: Engine) -> None:
        await asyncio.sleep(30)
        engine.stop(Stopped("stopped: enough", hint="-"))

    refusing = Mood(latency=0.02, faults={"429": 1.0}, retry_after=100.0)
    played = Played(store, flt, 200, [refusing], meanwhile=stops)
    assert played.stopped is not None
    assert played.seconds < 31


def test_the_minutes_share_is_waited_for_whatever_becomes_of_a_storm() -> None:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)

    async def work() -> tuple[float, float]:
        pace = Pace(4, loop.time)
        for _ in range(SEEN):
            pace.refused()
        began = loop.time()

        async def rests(whole: bool) -> float:
            await pace.rest(10.0, whole=whole)
            return loop.time() - began

        both = asyncio.gather(rests(True), rests(False))
        await asyncio.sleep(3.0)
        assert pace.answered(loop.time())
        whole, cut = await both
        return whole, cut

    try:
        assert loop.run_until_complete(work()) == (pytest.approx(10.0), pytest.approx(3.0))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
