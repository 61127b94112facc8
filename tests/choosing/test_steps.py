"""A selection as steps of a run: refused in seconds, a candidate in a pod of its own, and the choice that a laptop makes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from distillery.components.artifacts.filter import publish_filter, read_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.choosing import component, steps
from distillery.components.choosing.rule import Rule
from distillery.components.choosing.select import select_student
from distillery.components.choosing.steps import choose_student, plan_candidates, read_selected, try_candidate
from distillery.components.store import open_store
from distillery.components.store.layout import run_record_key
from distillery.components.training import train as training
from distillery.filters.errors import InputError
from tests.choosing.test_select import THREE
from tests.training.conftest import Notes

ALONE = {"trainer": "pod", "gpus": 0}


def test_candidates_are_planned_the_cheapest_first_and_published(store, tiny_filter):
    flt = tiny_filter(epochs=1)
    planned = plan_candidates(store, flt, THREE, rule="best", **ALONE)
    assert planned.record.outputs["candidates"] == {
        "candidate-01": "one epoch", "candidate-02": "one epoch again", "candidate-03": "two epochs",
    }  # fmt: skip
    assert [item["step"] for item in planned.items] == list(planned.record.outputs["candidates"])
    there = [read_filter(store, item["filter_key"]).spec.training for item in planned.items]
    assert [(each.epochs, each.seed) for each in there] == [(1, flt.spec.training.seed), (1, 7), (2, flt.spec.training.seed)]


def test_candidates_may_be_a_text_or_a_file(store, tiny_filter, tmp_path):
    flt, path = tiny_filter(epochs=1), tmp_path / "candidates.yaml"
    path.write_text(THREE, encoding="utf-8")
    by_text, by_file = (plan_candidates(store, flt, each, rule="best", **ALONE) for each in (THREE, str(path)))
    assert by_text.items == by_file.items


@pytest.mark.parametrize(
    ("candidates", "rule", "said"),
    [
        ("", "best", "candidates: there are none"),
        (THREE, "fastest", "rule: no rule 'fastest'"),
        (THREE.replace("training.seed: 7", "split.seed: 7"), "best", "candidates text:4: candidate 'one epoch again' sets"),
        (
            THREE.replace("training.seed: 7", "student.pooling: last"),
            "best",
            "candidates text:4: candidate 'one epoch again': last makes no sense: the base model is an encoder",
        ),
    ],
)
def test_a_bad_parameter_is_named_as_a_form_has_it(store, tiny_filter, candidates, rule, said):
    with pytest.raises(InputError) as error:
        plan_candidates(store, tiny_filter(epochs=1), candidates, rule=rule, **ALONE)
    assert said in error.value.for_form()
    assert error.value.hint


def test_a_candidate_that_no_pod_could_train_is_refused_with_its_name_and_line(tmp_path, tiny_filter, monkeypatch):
    monkeypatch.setattr(steps, "on_cluster", lambda: True)
    store = open_store(str(tmp_path / "store"))
    text = THREE.replace("{training.seed: 7}", "{student.baseModel: nobody/has-it}")
    with pytest.raises(InputError) as error:
        plan_candidates(store, tiny_filter(epochs=1), text, rule="best", **ALONE)
    assert str(error.value).startswith(
        "--candidates text:4: candidate 'one epoch again': student.baseModel nobody/has-it: is not mirrored; "
        "distillery models push nobody/has-it --store "
    )
    assert not list(store.keys("filters"))


def test_the_pods_take_the_memory_of_the_largest_candidate(store, tiny_filter, monkeypatch):
    monkeypatch.setattr(steps, "on_cluster", lambda: True)
    sizes = {1: 2**30, 2: 40 * 2**30}
    monkeypatch.setattr(steps, "memory_needed", lambda store, flt, **who: {"train": sizes[flt.spec.training.epochs]})
    planned = plan_candidates(store, tiny_filter(epochs=1), THREE, rule="best", **ALONE)
    small = plan_candidates(store, tiny_filter(epochs=1), THREE.replace("{training.epochs: 2}", "{training.seed: 8}"),
                            rule="best", **ALONE)  # fmt: skip
    assert planned.record.facts["memory"]["two epochs"] == 40 * 2**30
    assert planned.cluster.memory_limit != small.cluster.memory_limit
    assert planned.cluster.train_gpus == "0"


def test_candidates_in_pods_of_their_own_come_to_the_choice_of_a_laptop(
    store, split, tiny_filter, candidates, tmp_path, monkeypatch
):
    """The components as Kubeflow calls them, in a store of their own that has the same split."""
    flt = tiny_filter(epochs=1)
    here = select_student(store, flt, candidates(flt, THREE), split=split, rule=Rule(0.02))
    there = open_store(str(tmp_path / "there"))
    source = store.folder("datasets", split)
    assert there.commit("datasets", {name: source.read(name) for name in source.files}, source.meta) == split
    key = publish_filter(there, flt)
    parts = SimpleNamespace(metadata={"digest": split})
    common = {"store": there.uri, "run": "run-1"}

    def output(name: str) -> SimpleNamespace:
        return SimpleNamespace(path=str(tmp_path / name), metadata={})

    given = {"candidates": THREE, "rule": "cheapest within 0.02 of the best"}
    ready = component.candidates.python_func(filter_key=key, **given, **ALONE, **common)
    adapters = [
        component.candidate.python_func(
            filter_key=item["filter_key"], step_name=item["step"], split=parts, adapter=output("adapter"), **ALONE, **common
        )
        for item in reversed(ready.Output)
    ]

    def trains(*args: object, **kwargs: object) -> None:
        raise AssertionError("the choice trains nothing")

    monkeypatch.setattr(training, "_work", trains)
    chosen = output("chosen")
    digest = component.select_student.python_func(
        filter_key=key, split=parts, adapters=adapters, chosen=chosen, **given, **common
    )
    assert digest == here.digest
    record = StepRecord.load(there, run_record_key("run-1", "select-student"))
    assert read_selected(there, record).selection == here.selection
    assert record.outputs["adapter"] in adapters
    assert chosen.metadata["digest"] == record.outputs["adapter"]
    tried = [StepRecord.load(there, run_record_key("run-1", f"candidate-0{at}")) for at in (1, 2, 3)]
    assert sorted(each.outputs["adapter"] for each in tried) == sorted(adapters)
    assert not any(each.reused for each in tried)


def test_a_candidate_that_is_there_already_is_reused(store, split, tiny_filter):
    flt = tiny_filter(epochs=1)
    key = publish_filter(store, flt)
    first = try_candidate(store, flt, key, split=split, **ALONE)
    again = try_candidate(store, flt, key, split=split, **ALONE)
    assert again.outputs == first.outputs
    assert again.reused
    with pytest.raises(InputError, match="no trainer"):
        try_candidate(store, flt, key, split=split, trainer="nobody", gpus=0)


def test_a_choice_says_what_it_does(store, split, tiny_filter):
    notes = Notes()
    selected, record = choose_student(store, tiny_filter(epochs=1), THREE, split=split, rule="best", progress=notes)
    assert any(note.startswith("chosen on validation: ") for note in notes.notes)
    assert record.outputs["chosen"] == selected.selection.chosen
