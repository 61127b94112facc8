"""A step is reused only for exactly its inputs and only while its outputs are there; a plan says why one must run."""

from __future__ import annotations

from pathlib import Path

from distillery.components.artifacts.step_record import Outcome, StepRecord, look_up, run_step
from distillery.components.store import Store, open_store
from distillery.pipelines.plan import Planner, changes


def outcome(store: Store, key: str = "things/a") -> Outcome:
    store.put(key, b"thing")
    return Outcome({"thing": "a"}, [key], {"rate": 1.0})


def test_same_inputs_are_done_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    calls = []

    def work() -> Outcome:
        calls.append(1)
        return outcome(store)

    first = run_step(store, "split", {"seed": 1}, work)
    second = run_step(store, "split", {"seed": 1}, work)
    assert (first.reused, second.reused, len(calls)) == (False, True, 1)
    assert second.outputs == first.outputs
    assert not run_step(store, "split", {"seed": 2}, work).reused


def test_a_record_whose_outputs_are_gone_is_not_reused(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    run_step(store, "split", {"seed": 1}, lambda: outcome(store))
    (tmp_path / "things" / "a").unlink()
    assert look_up(store, "split", {"seed": 1}) is None
    assert not run_step(store, "split", {"seed": 1}, lambda: outcome(store)).reused
    assert look_up(store, "split", {"seed": 1}) is not None


def test_changes_names_the_path_and_both_values() -> None:
    old = {"training": {"epochs": 3, "seed": 1}, "split": "a" * 64, "list": [1, 2]}
    new = {"training": {"epochs": 4, "seed": 1}, "split": "b" * 64, "list": [1, 3]}
    assert changes(old, new) == ["list[1]: 2 → 3", f"split: {'a' * 12} → {'b' * 12}", "training.epochs: 3 → 4"]


def test_after_the_first_step_that_runs_everything_follows(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    done = run_step(store, "split", {"seed": 1}, lambda: outcome(store))
    planner = Planner(store, {"train": StepRecord.of("train", {"epochs": 3}, {}, [], {"seconds": 90.0})})
    assert planner.add("split", {"seed": 1}) == done.model_copy(update={"reused": True})
    assert planner.add("train", {"epochs": 4}) is None
    assert planner.add("benchmark", None) is None
    split, train, benchmark = planner.steps
    assert (split.action, train.action, benchmark.action) == ("reuse", "run", "run")
    assert train.why == ["epochs: 3 → 4"]
    assert train.cost == "about 1 min 30 s, as last time"
    assert benchmark.why == ["follows train"]
