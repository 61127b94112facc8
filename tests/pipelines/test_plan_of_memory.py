"""`plan` says how much memory the steps with the student take, and refuses what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from distillery.components.runtime.memory_limit import Room
from distillery.components.store import open_store
from distillery.components.student import fit
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.pipelines.plan import make_plan, render_plan
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import filter_document, label_rows, write_rows


@pytest.fixture
def run(tmp_path: Path, tiny_encoder: Path) -> RunState:
    document: dict[str, Any] = filter_document(tiny_encoder)
    labels = str(write_rows(tmp_path / "labels.jsonl", label_rows(40)))
    return RunState(open_store(str(tmp_path / "store")), Filter.model_validate(document), "", labels)


def test_the_plan_names_the_memory_of_what_would_run(run: RunState) -> None:
    steps = {step.step: step for step in make_plan(run)}
    for name in ("train", "benchmark"):
        (line,) = [reason for reason in steps[name].why if reason.startswith("memory: at most ")]
        assert "weights" in line
        assert line in render_plan(list(steps.values()))
    assert not any("memory" in reason for name in ("label", "split") for reason in steps[name].why)


def test_what_does_not_fit_is_refused_by_the_plan(run: RunState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "room", lambda: Room(2**28, 2**30, "this container"))
    with pytest.raises(InputError, match=r"takes about .* and this container has 0.2 GiB"):
        make_plan(run)
    assert not list(run.store.keys())
