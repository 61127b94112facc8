"""Approvals, rollbacks and runs that come at once leave one history, and promote nothing that nobody named."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import current, read_channel
from distillery.components.promotion.by_hand import Said, approve, promote_by_name, refuse, rollback, unpin
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


ORDER = """
import sys; sys.path.insert(0, '.')
from tests.promotion.made import *
from distillery.components.promotion.by_hand import approve, refuse, rollback
from distillery.components.store import open_store
from distillery.filters.errors import InputError
store, order, adapter, by = open_store(sys.argv[1]), *sys.argv[2:5]
print('up', flush=True); sys.stdin.readline()
try:
    if order == 'approve':
        approve(store, HELD, adapter, Said(by, ''), judge=again(), verify=fine)
    elif order == 'refuse':
        refuse(store, 'demo', 'production', adapter, Said(by, ''))
    elif order == 'hold':
        held(store, int(adapter))
    else:
        rollback(store, 'demo', 'production', said=Said(by, ''), verify=fine)
except InputError as error:
    print(error)
"""


def in_processes(store: Store, *orders: tuple[str, str, str]) -> list[str]:
    """Give these orders (what, adapter, who) at once, each in its own process; return what each was refused with, or ""."""
    place = store.uri.removeprefix("file://")
    command = [sys.executable, "-c", ORDER, place]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, *order], **pipes) for order in orders]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n", process.communicate()[1]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in running]
    assert [errors for _, errors in told] == [""] * len(orders)
    return [out for out, _ in told]


ROUNDS = [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 20))]


@pytest.mark.parametrize("number", ROUNDS)
def test_processes_that_approve_and_roll_back_at_once(tmp_path: Path, number: int) -> None:
    store = open_store(str(tmp_path))
    first, second = promoted(store, 1), promoted(store, 2)
    third = held(store, 3)
    approval, back = in_processes(store, ("approve", third, "ada"), ("rollback", "-", "bob"))
    moves = [(entry.action, entry.adapter, entry.by) for entry in history(store, *WHERE)][:-2]
    channel = read_channel(store, *WHERE).channel
    approved = [("promote", third, "ada")] if not approval else []
    if back:  # it saw another adapter than the one that it would have left
        assert f"it points at {third[:12]} now" in back
        assert moves == approved == [("promote", third, "ada")]
        assert (channel.pin, channel.blocked) == (None, [])
    else:  # what bob left is what served when he said so, and what he pinned stays
        left, to = (third, second) if approved else (second, first)
        assert moves == [("rollback", to, "bob"), *approved]
        assert channel.pin is not None
        assert [block.adapter for block in channel.blocked] == [left]
        assert approved or "was pinned by bob" in approval or "changed the channel meanwhile" in approval


@pytest.mark.parametrize("number", ROUNDS)
def test_processes_that_approve_refuse_and_hold_at_once(tmp_path: Path, number: int) -> None:
    store = open_store(str(tmp_path))
    read = held(store, 1)
    orders = [("approve", read, "ada"), ("refuse", read, "bob"), ("hold", "1", ""), ("hold", "2", "")]
    approval, refusal, *_ = in_processes(store, *orders)
    channel = read_channel(store, *WHERE).channel
    served, refused = [entry.adapter for entry in channel.history], [block.adapter for block in channel.blocked]
    assert (served, refused) in (([read], []), ([], [read]))  # one of the two, and not both
    assert bool(approval) is (served == [])
    assert bool(refusal) is (served == [read])
    assert [row.adapter for row in channel.candidates if row.adapter == read] == []
    assert len(channel.candidates) == 1  # the other one waits on, whoever named the first


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 300))])
def test_whatever_is_ordered_at_once_each_move_is_somebodys_and_made_once(tmp_path: Path, seed: int) -> None:
    """A dozen orders for four students, drawn by chance: the history holds those that were told to be done, and no other."""
    rng, store = random.Random(seed), open_store(str(tmp_path))
    first = promoted(store, 0)
    students = [held(store, number) for number in range(1, 5)]
    begun = len(history(store, *WHERE))

    def order(number: int) -> tuple[str, str, Callable[[], Any]]:
        what = rng.choice(["approve", "approve", "promote", "rollback", "unpin", "refuse", "hold"])
        adapter = rng.choice(students)
        said = Said(f"p{number}", "")
        works: dict[str, Callable[[], Any]] = {
            "approve": lambda: approve(store, HELD, adapter, said, **BY_HAND),
            "promote": lambda: promote_by_name(store, FILTER, Digest(adapter), said, **BY_HAND),
            "rollback": lambda: rollback(store, *WHERE, said=said, verify=fine),
            "unpin": lambda: unpin(store, *WHERE, said),
            "refuse": lambda: refuse(store, *WHERE, adapter, said),
            "hold": lambda: held(store, students.index(adapter) + 1),
        }
        return what, adapter, works[what]

    orders = [order(number) for number in range(12)]
    ended = at_once(*(work for *_, work in orders))
    channel = read_channel(store, *WHERE).channel
    moves = channel.history[: len(channel.history) - begun]
    assert channel.history[-1].adapter == first
    assert len({entry.by for entry in moves}) == len(moves)
    for entry in moves:
        what, adapter, _ = orders[int(entry.by[1:])]
        assert not isinstance(ended[int(entry.by[1:])], InputError)
        allowed = {"approve": {"promote"}, "promote": {"promote", "unpin"}}  # of what serves already, only the pin is lifted
        assert entry.action in allowed.get(what, {what})
        assert entry.adapter == adapter or what in ("rollback", "unpin")
    for number, (what, adapter, _) in enumerate(orders):
        done = any(entry.by == f"p{number}" for entry in moves)
        if what in ("approve", "promote") and not isinstance(ended[number], InputError) and not done:
            assert any(entry.adapter == adapter for entry in moves)  # it served already
    by = {block.adapter: orders[int(block.by[1:])] for block in channel.blocked}
    assert all(what in ("rollback", "refuse") for what, *_ in by.values())
    assert all(adapter == named for named, (what, adapter, _) in by.items() if what == "refuse")
    assert not set(by) & {row.adapter for row in channel.candidates}
    assert channel.adapter not in by
    if channel.pin:
        assert orders[int(channel.pin.by[1:])][0] == "rollback"
