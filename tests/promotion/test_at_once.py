"""Approvals, rollbacks and runs that come at once leave one history, and promote nothing that nobody named."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import current, read_channel
from distillery.components.promotion.by_hand import approve, promote_by_name, rollback, unpin
from distillery.components.promotion.promote import hold, promote
from distillery.components.store import Digest, Store, open_store
from distillery.filters.errors import InputError, Waiting
from tests.promotion.made import ADA, BY_HAND, FILTER, HELD, again, fine, held, history, judged, promoted

WHERE = ("demo", "production")


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each gave back, or the InputError it ended with; all began together."""
    barrier, ended = threading.Barrier(len(works)), [None] * len(works)

    def run(number: int) -> None:
        barrier.wait()
        try:
            ended[number] = works[number]()
        except InputError as error:
            ended[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def served(store: Store) -> list[str]:
    return [entry.adapter for entry in history(store, *WHERE)]


def test_of_two_approvals_at_once_one_is_promoted_and_the_other_waits_on(store: Store) -> None:
    first, second = held(store, 1), held(store, 2)
    meet = threading.Barrier(2)

    def slow(store: Store, name: str, adapter: Digest) -> float:
        meet.wait()  # both were judged against what served before
        return fine(store, name, adapter)

    def work(adapter: str) -> Callable[[], Any]:
        return lambda: approve(store, HELD, adapter, ADA, judge=again(), verify=slow)

    ended = at_once(work(first), work(second))
    (lost,) = [each for each in ended if isinstance(each, InputError)]
    assert "another process changed the channel meanwhile" in str(lost)
    winner, loser = (first, second) if ended[1] is lost else (second, first)
    assert served(store) == [winner]
    assert [row.adapter for row in read_channel(store, *WHERE).channel.candidates] == [loser]


def test_two_approvals_of_one_candidate_are_one_move(store: Store) -> None:
    adapter = held(store, 1)
    ended = at_once(*[lambda: approve(store, HELD, adapter, ADA, **BY_HAND)] * 2)
    assert [each.outputs["adapter"] for each in ended] == [adapter, adapter]
    assert served(store) == [adapter]


def test_an_approval_during_a_rollback_promotes_nothing(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    third = held(store, 3)

    def rolled_back_meanwhile(store: Store, name: str, adapter: Digest) -> float:
        rollback(store, *WHERE, said=ADA, verify=fine)
        return fine(store, name, adapter)

    for _ in range(2):  # whether it began before or after the rollback
        with pytest.raises(Waiting, match="was pinned by ada"):
            approve(store, HELD, third, ADA, judge=again(), verify=rolled_back_meanwhile)
    assert served(store) == [first, second, first]
    assert [row.adapter for row in read_channel(store, *WHERE).channel.candidates] == [third]


def test_a_rollback_goes_back_from_what_the_person_saw(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    third = held(store, 3)

    def approved_meanwhile(store: Store, name: str, adapter: Digest) -> float:
        approve(store, HELD, third, ADA, **BY_HAND)
        return fine(store, name, adapter)

    with pytest.raises(InputError, match=f"it points at {third[:12]} now"):
        rollback(store, *WHERE, said=ADA, verify=approved_meanwhile)
    channel = read_channel(store, *WHERE).channel
    assert (served(store), channel.pin, channel.blocked) == ([third, second, first], None, [])


def test_a_promotion_by_name_lifts_no_pin_that_came_meanwhile(store: Store) -> None:
    first, second = promoted(store, 1), promoted(store, 2)
    third, _ = judged(store, 3)

    def pinned_meanwhile(store: Store, name: str, adapter: Digest) -> float:
        rollback(store, *WHERE, said=ADA, verify=fine)
        return fine(store, name, adapter)

    with pytest.raises(InputError, match="another process changed the channel meanwhile"):
        promote_by_name(store, FILTER, third, ADA, judge=again(), verify=pinned_meanwhile)
    assert served(store) == [first, second, first]
    assert read_channel(store, *WHERE).channel.pin is not None


def test_a_candidate_replaced_while_its_report_is_read(store: Store) -> None:
    read = held(store, 1, run="night-1")
    held(store, 1, run="night-2")  # the same bytes again, and other ones
    other = held(store, 2, run="night-3")
    approve(store, HELD, read, ADA, **BY_HAND)
    assert served(store) == [read]
    assert [row.adapter for row in read_channel(store, *WHERE).channel.candidates] == [other]


def test_runs_that_hold_at_once_lose_no_candidate(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    verdicts = [judged(store, number, HELD) for number in range(12)]
    at_once(*[lambda verdict=verdict: hold(store, HELD, verdict=verdict) for _, verdict in verdicts])
    channel = read_channel(store, *WHERE).channel
    assert sorted(row.adapter for row in channel.candidates) == sorted(adapter for adapter, _ in verdicts)
    assert channel.revision == 12


def test_fifty_promoters_one_wins_and_a_rollback_and_an_unpin_follow(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    verdicts = [judged(store, number) for number in range(50)]
    ended = at_once(*[lambda verdict=verdict: promote(store, FILTER, verdict=verdict, verify=fine) for _, verdict in verdicts])
    won = [each.outputs["adapter"] for each in ended if not isinstance(each, InputError)]
    assert served(store) == won
    assert len(won) == 1
    assert all("run again" in str(each) for each in ended if isinstance(each, InputError))
    more = promoted(store, 60)
    rollback(store, *WHERE, said=ADA, verify=fine)
    at_once(*[lambda: unpin(store, *WHERE, ADA)] * 5)
    entries = history(store, *WHERE)
    assert [entry.action for entry in entries] == ["unpin", "rollback", "promote", "promote"]
    assert [entry.adapter for entry in entries] == [won[0], won[0], more, won[0]]


def test_processes_that_approve_at_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    adapters = [held(store, number) for number in (1, 2, 3)]
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.promotion.made import *\n"
        "from distillery.components.promotion.by_hand import approve\n"
        "from distillery.components.store import open_store\n"
        "approve(open_store(sys.argv[1]), HELD, sys.argv[2], ADA, judge=again(), verify=fine)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), each], stderr=subprocess.PIPE) for each in adapters]
    ended = [process.communicate()[1].decode() for process in running]
    entries = history(store, *WHERE)
    won = [adapter for adapter, error in zip(adapters, ended, strict=True) if not error]
    assert sorted(entry.adapter for entry in entries) == sorted(won)
    assert len(won) >= 1
    assert all("another process changed the channel meanwhile" in error for error in ended if error)
    pointer = current(store, *WHERE)
    assert pointer is not None
    assert {row.adapter for row in read_channel(store, *WHERE).channel.candidates} == set(adapters) - set(won)
