"""The select-student pipeline: one pod a candidate, the choice after all of them, and a run of it by kfp.local."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.steps import SELECTION
from distillery.components.choosing.steps import read_selected
from distillery.components.store import open_store
from distillery.components.store.layout import report_key, run_record_key
from tests.pipelines.harness import compile_alone, run_distillery, write_filter

GUARDED, LOOP = "exit-handler-1", "for-loop-2"


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    return compile_alone("select-student").spec


def tasks_of(graph: dict[str, Any]) -> dict[str, Any]:
    """The tasks whose end, whatever it is, the last step tells."""
    found: dict[str, Any] = graph["components"][f"comp-{GUARDED}"]["dag"]["tasks"]
    return found


def test_the_graph_has_the_steps_that_are_followed(graph: dict[str, Any]) -> None:
    assert set(tasks_of(graph)) == {*SELECTION, LOOP}
    assert set(graph["components"][f"comp-{LOOP}"]["dag"]["tasks"]) == {"candidate"}


def test_the_report_runs_last_whatever_happened(graph: dict[str, Any]) -> None:
    tasks = graph["root"]["dag"]["tasks"]
    assert set(tasks) == {GUARDED, "report"}
    assert tasks["report"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert tasks["report"]["dependentTasks"] == [GUARDED]


def test_a_bad_file_of_candidates_is_told_before_labels_are_paid_for(graph: dict[str, Any]) -> None:
    assert "candidates" in tasks_of(graph)["label"]["dependentTasks"]


def test_each_candidate_has_its_own_filter_and_the_choice_waits_for_all(graph: dict[str, Any]) -> None:
    tasks = tasks_of(graph)
    loop, inner = tasks[LOOP], graph["components"][f"comp-{LOOP}"]["dag"]
    items = loop["inputs"]["parameters"][loop["parameterIterator"]["items"]["inputParameter"]]
    assert items["taskOutputParameter"]["producerTask"] == "candidates"
    inputs = inner["tasks"]["candidate"]["inputs"]["parameters"]
    for name, field in (("filter_key", "filter_key"), ("step_name", "step")):
        assert inputs[name]["componentInputParameter"] == loop["parameterIterator"]["itemInput"]
        assert inputs[name]["parameterExpressionSelector"] == f'parseJson(string_value)["{field}"]'
    adapters = tasks["select-student"]["inputs"]["parameters"]["adapters"]["taskOutputParameter"]
    assert adapters["producerTask"] == LOOP
    assert LOOP in tasks["select-student"]["dependentTasks"]


def test_the_loop_has_no_name_of_its_own(graph: dict[str, Any]) -> None:
    """Kubeflow Pipelines 2.14.3 keeps a loop under its display name, and looks for its collected outputs under its task's.

    In backend/src/v2/driver/dag.go a loop's task name is empty, and `taskInfo.name` stands in. So with `ParallelFor(name=…)`
    the choice fails in its driver once all is trained: "producer task, for-loop-1_19, not in tasks". Within an exit handler
    the loop is "for-loop-2", and found.
    """
    assert tasks_of(graph)[LOOP]["taskInfo"]["name"] == LOOP


TWO = "candidates:\n  - {name: one epoch}\n  - {name: another seed, set: {training.seed: 7}}\n"


@pytest.mark.slow
def test_a_selection_by_kfp_local_is_that_of_the_command(tiny_encoder: Path, labels_file: Path, tmp_path: Path) -> None:
    flt = write_filter(tmp_path / "filter.yaml", tiny_encoder)
    listed = tmp_path / "candidates.yaml"
    listed.write_text(TWO, encoding="utf-8")
    flags = ["--labels", labels_file, "--store", tmp_path / "here", "--json"]
    here = run_distillery("select-student", flt, "--candidates", listed, *flags, cwd=tmp_path)
    assert here.code == 0, here.err
    there = str(tmp_path / "there")
    given = {"filter": str(flt), "candidates": str(listed), "labels": str(labels_file), "store": there}
    code = (
        "import json, sys\nfrom kfp import local\nfrom distillery.pipelines.select_student import select\n"
        "local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=True)\n"
        "select(**json.loads(sys.argv[2]))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "DISTILLERY_RUN": "run-1"}
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "root"), json.dumps(given)], env=environment, check=True, timeout=900
    )
    store = open_store(there)
    record = StepRecord.load(store, run_record_key("run-1", "select-student"))
    assert record.outputs["selection"] == here.json["selection"]
    assert read_selected(store, record).selection.chosen == here.json["chosen"]
    assert f"Chosen: {here.json['chosen']}, " in store.get(report_key("run-1", "md")).decode()
