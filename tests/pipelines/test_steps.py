"""The table of steps is what the graph does, and what every part of the project works from."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

from distillery.components.artifacts.steps import ENDS, LOOKED_UP, RECORDED, STEPS, WATCHED, WORK, names, through
from distillery.components.artifacts.verdict import Decision
from distillery.filters import steps as reading
from distillery.filters.digests import parts
from distillery.filters.loading import load_filter
from distillery.pipelines.results import EXIT_CODES, SENTENCES
from distillery.pipelines.steps import INPUTS, TASKS
from tests.pipelines.harness import compile_alone

ORDER = [
    *("preflight", "calibrate"),
    *("label", "audit", "split", "train", "benchmark", "gate"),
    *("promote", "hold", "reject"),
    "report",
]


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    return compile_alone("distill").spec


def step_of(task: str) -> str:
    """Return the step of a task; a step that stands in two branches is `label` and `label-2`."""
    return re.sub(r"-\d+$", "", task)


class Graph:
    """A compiled pipeline, as the steps that each step reads from or waits for."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.components = spec["components"]
        self.before: dict[str, set[str]] = {}
        self._walk(spec["root"]["dag"], {})

    def _dag(self, task: dict[str, Any]) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.components[task["componentRef"]["name"]].get("dag")
        return found

    def _walk(self, dag: dict[str, Any], given: dict[str, set[str]]) -> None:
        for name, task in dag["tasks"].items():
            inputs = task.get("inputs", {})
            sources = {**inputs.get("parameters", {}), **inputs.get("artifacts", {})}
            found = {key: self._producers(dag, given, source) for key, source in sources.items()}
            if inner := self._dag(task):
                self._walk(inner, found)
                continue
            waits = {step_of(other) for other in task.get("dependentTasks", []) if not self._dag(dag["tasks"][other])}
            self.before.setdefault(step_of(name), set()).update(waits, *found.values())

    def _producers(self, dag: dict[str, Any], given: dict[str, set[str]], source: dict[str, Any]) -> set[str]:
        """Return the steps behind an input: one beside it, those of the branches beside it, or those handed down to its dag."""
        output = source.get("taskOutputParameter") or source.get("taskOutputArtifact")
        if not output:
            handed_down = source.get("componentInputParameter") or source.get("componentInputArtifact") or ""
            return given.get(handed_down, set())
        inner = self._dag(dag["tasks"][output["producerTask"]])
        if not inner:
            return {step_of(output["producerTask"])}
        selector = inner["outputs"]["parameters"][output["outputParameterKey"]]
        chosen = selector.get("valueFromOneof", {}).get("parameterSelectors") or [selector["valueFromParameter"]]
        subtasks = [{"producerTask": one["producerSubtask"], "outputParameterKey": one["outputParameterKey"]} for one in chosen]
        return set().union(*(self._producers(inner, {}, {"taskOutputParameter": one}) for one in subtasks))


def check_names_and_order(spec: dict[str, Any]) -> None:
    before = Graph(spec).before
    assert sorted(before) == sorted(names()), "the graph and artifacts/steps.py have the same steps"
    for name in names("check", "work", "end"):
        late = [other for other in before[name] if names().index(other) >= names().index(name)]
        assert not late, f"{name} reads from {late}, which come later in artifacts/steps.py"


def test_the_graph_has_the_steps_of_the_table_in_its_order(graph: dict[str, Any]) -> None:
    check_names_and_order(graph)


def test_the_graph_hands_each_step_what_it_needs(graph: dict[str, Any]) -> None:
    before = Graph(graph).before

    def reached(name: str) -> set[str]:
        return before[name].union(*(reached(other) for other in before[name]))

    for step in STEPS:
        if step.stage != "exit":
            assert set(step.needs) <= reached(step.name), f"{step.name} needs {step.needs}; the graph gives {before[step.name]}"


def test_a_task_that_the_table_does_not_know_is_noticed(graph: dict[str, Any]) -> None:
    tasks = {**graph["root"]["dag"]["tasks"], "polish": {"componentRef": {"name": "comp-report"}}}
    with pytest.raises(AssertionError, match="same steps"):
        check_names_and_order({**graph, "root": {"dag": {"tasks": tasks}}})


def test_an_order_that_the_graph_does_not_have_is_noticed(graph: dict[str, Any]) -> None:
    text = json.dumps(graph)
    for one, other in (("split", "-"), ("train", "split"), ("-", "train")):
        text = text.replace(f'"{one}"', f'"{other}"').replace(f'"comp-{one}"', f'"comp-{other}"')
    with pytest.raises(AssertionError, match="come later"):
        check_names_and_order(json.loads(text))


def test_the_order_of_a_run() -> None:
    assert list(names()) == ORDER
    assert list(WATCHED) == ORDER[:8]
    assert list(RECORDED) == ORDER[:11]
    assert ENDS == ("promote", "hold", "reject")
    assert len(ENDS) == len(get_args(Decision)), "one end for each decision of the gates"
    assert set(SENTENCES) == set(EXIT_CODES) == {*get_args(Decision), "pinned", "blocked", "refused", "superseded"}
    assert through("split") == ("label", "audit", "split")
    with pytest.raises(ValueError, match="not in tuple"):
        through("promote")
    seen: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= seen, f"{step.name} needs a step that comes later"
        seen.add(step.name)


def test_each_working_step_has_its_functions() -> None:
    assert set(TASKS) == set(WORK)
    assert set(INPUTS) == set(LOOKED_UP) == {*WORK, "predict"}
    assert LOOKED_UP.index("predict") == LOOKED_UP.index("benchmark") - 1


def test_what_each_step_reads_of_the_filter() -> None:
    flt = load_filter("uplifting")
    for step in STEPS:
        expected = parts(flt, step.name) if step.name in reading.STEPS else {}
        assert step.reads(flt) == expected
    assert [step.name for step in STEPS if step.reads(flt)] == list(reading.STEPS)
