"""Two students that were trained and judged, and a copy of their store for each test."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.promotion.promote import hold, promote
from distillery.components.reporting.publish import publish
from distillery.components.store import Store, open_store
from distillery.components.store.layout import report_key, run_record_key
from distillery.filters.loading import load_filter
from distillery.pipelines.cli.ending import end_decided
from distillery.pipelines.laptop.chain import run_through
from distillery.pipelines.run_view import StepView, Watched
from distillery.pipelines.steps import RunState
from tests.pipelines.harness import (
    Ran,
    run_here,
    write_filter,
)

SEEDS = (3, 4)
UNSTATED: list[dict[str, Any]] = [{"metric": "mae", "below": 9.0}]  # says nothing of baselines and of what serves
WHY = ("--reason", "read its report", "--as", "ada")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, labels_file: Path) -> Path:
    """A folder with a store in which two students were trained and judged; nothing was promoted."""
    folder = tmp_path_factory.mktemp("trained")
    flt = load_filter(str(write_filter(folder / "filter.yaml", tiny_encoder)))
    for seed in SEEDS:
        changed = load_filter(str(folder / "filter.yaml"), overrides=[f"training.seed={seed}"])
        run_through("gate", RunState(open_store(str(folder / ".distillery")), changed, labels=str(labels_file)))
    assert flt.name == "small-town"
    return folder


class Town(NamedTuple):
    """A copy of what was trained, for one test."""

    folder: Path
    base: Path
    labels: Path

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / ".distillery"))

    def filter(self, **spec: Any) -> Path:
        return write_filter(self.folder / "filter.yaml", self.base, **spec)

    def __call__(self, *arguments: str | Path) -> Ran:
        return run_here(*arguments, cwd=self.folder)

    def held(self, seed: int) -> str:
        """Hold the student of this seed, as a run does; return its digest."""
        overrides = [f"training.seed={seed}", "promotion.approval=required"]
        flt = load_filter(str(self.folder / "filter.yaml"), overrides=overrides)
        records = run_through("gate", RunState(self.store, flt, labels=str(self.labels)))
        key = publish_filter(self.store, flt)
        hold(self.store, flt, verdict=records["gate"].outputs["verdict"], filter_key=key, run=f"run-{seed}")
        return str(records["train"].outputs["adapter"])

    def run(self, seed: int, *settings: str) -> Ran:
        """Do what a run does, each step in this process, and end as `distill` ends; its report is written."""
        overrides, name = [f"training.seed={seed}", *settings], f"run-{seed}"
        flt, store = load_filter(str(self.folder / "filter.yaml"), overrides=overrides), self.store
        key = publish_filter(store, flt)
        given = StepRecord.of("preflight", {}, {"name": flt.name, "filter_key": key}, [key])
        records = {"preflight": given, **run_through("gate", RunState(store, flt, labels=str(self.labels)))}
        decided = records["gate"].outputs
        end = {"promote": promote, "approve": hold}.get(decided["decision"])
        if end:
            records[end.__name__] = end(store, flt, verdict=decided["verdict"], filter_key=key, run=name)
        for step, record in records.items():
            record.put(store, run_record_key(name, step))
        publish(store, name, failed=False, message="")
        watched = Watched({step: StepView(step, record=record) for step, record in records.items()})
        out, code = io.StringIO(), 0
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            patch.chdir(self.folder)
            patch.setenv("COLUMNS", "200")
            try:
                end_decided(watched, store, store.uri, name, filter="filter.yaml", shown_store="", as_json=False)
            except typer.Exit as ended:
                code = ended.exit_code
        return Ran(code, out.getvalue(), "")

    def report(self, seed: int) -> str:
        return self.store.get(report_key(f"run-{seed}", "md")).decode()

    def serving(self, channel: str = "production") -> list[str]:
        return [entry["adapter"] for entry in self("history", "filter.yaml", "--channel", channel, "--json").json["history"]]


@pytest.fixture
def town(trained: Path, tmp_path: Path, tiny_encoder: Path, labels_file: Path) -> Town:
    shutil.copytree(trained, tmp_path / "town")
    return Town(tmp_path / "town", tiny_encoder, labels_file)


def typed(out: str, verb: str) -> list[str]:
    """The command of this kind that a run prints at its end, as one would type it."""
    (line,) = re.findall(rf"^{verb} +distillery ({verb} .*)$", out, re.MULTILINE)
    return shlex.split(line)
