"""Two runs that do one step at once: the first record stands, however the two overlap."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.artifacts.step_record import Outcome, StepRecord, look_up, run_step
from distillery.components.store import Store, open_store
from distillery.components.store.layout import step_record_key

INPUTS = {"seed": 1}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def outcome(store: Store, who: str) -> Outcome:
    store.put("things/a", b"thing")
    return Outcome({"thing": "a"}, ["things/a"], {"who": who})


def step(store: Store, who: str, during: object = None, *, again: bool = False) -> StepRecord:
    def work() -> Outcome:
        if callable(during):
            during()
        return outcome(store, who)

    return run_step(store, "split", INPUTS, work, again=again)


def stands(store: Store) -> str:
    record = look_up(store, "split", INPUTS)
    assert record is not None
    return str(record.facts["who"])


@pytest.mark.parametrize("again", [False, True])
def test_the_first_to_end_is_what_both_return(store: Store, again: bool) -> None:
    """The slow run began first and ended after the quick one."""
    slow = step(store, "slow", lambda: step(store, "quick"), again=again)
    assert slow.facts["who"] == stands(store) == "quick"


def test_of_three_runs_the_first_record_stands(store: Store) -> None:
    records: list[StepRecord] = []

    def two() -> None:
        records.append(step(store, "two", lambda: records.append(step(store, "three"))))

    records.append(step(store, "one", two))
    assert len(records) == 3
    assert {str(record.facts["who"]) for record in records} == {stands(store)} == {"three"}


def test_what_stood_there_before_and_was_to_be_redone_is_replaced(store: Store) -> None:
    step(store, "before")
    assert step(store, "after", again=True).facts["who"] == stands(store) == "after"


def test_a_record_that_cannot_be_used_gives_way(store: Store) -> None:
    """One that is torn, before the work or in the middle of it, and one whose objects are gone."""
    key = step_record_key("split", StepRecord.of("split", INPUTS, {}, []).inputs_digest)
    store.put(key, b'{"step": "sp')
    assert step(store, "one", lambda: store.put(key, b"{")).facts["who"] == stands(store) == "one"
    lost = StepRecord.of("split", INPUTS, {"thing": "a"}, ["things/gone"])
    store.put(key, lost.to_bytes())
    assert step(store, "two").facts["who"] == stands(store) == "two"
