"""The commands that a report prints start the same run: whatever it was asked for, quoted for a shell."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.run_summary import RunSummary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.preflight.request import RunRequest
from distillery.components.reporting.again import run_command
from distillery.components.reporting.context import Context
from distillery.components.reporting.gather import gather
from distillery.components.reporting.sections.run import commands
from distillery.components.store import open_store
from distillery.filters.errors import OPTIONS
from distillery.filters.filter import Filter

HARD = "/data/o'brien $HOME 100% é/a b.jsonl"
ASKED = RunRequest(
    filter=HARD,
    store="file:///a%20b/st",
    articles=HARD,
    profile="laptop",
    overrides=("training.epochs=2", f"oracle.replies={HARD}"),
    max_rejects="3%",
    marks=HARD,
    without_calibration='it\'s "late"',
    budget=1.5,
    trainer="trainjob",
    gpus=2,
)
KEY = "filters/small-town/v1/abc.yaml"


def read_back(command: str) -> dict[str, Any]:
    """The arguments that a command line says, as a shell splits it."""
    names, words = {option: name for name, option in OPTIONS.items() if option}, shlex.split(command)
    found: dict[str, Any] = {}
    while words and words[-2:] and words[-2] in names:
        value, option = words.pop(), words.pop()
        found.setdefault(names[option], []).insert(0, value)
    return {"words": words, **found}


def test_every_argument_comes_back_as_it_was() -> None:
    found = read_back(run_command("submit distill", ASKED.to_changed_arguments(), KEY))
    assert found.pop("words") == ["distillery", "submit", "distill", HARD]
    assert found.pop("store") == ["/a b/st"]
    assert found.pop("overrides") == list(ASKED.overrides)
    rest = {name: value for name, value in ASKED.to_arguments().items() if name in found}
    assert found == {name: [str(value)] for name, value in rest.items()}
    assert found.keys() == ASKED.to_changed_arguments().keys() - {"filter", "store", "overrides"}


@pytest.mark.parametrize("verb", ["distill", "plan"])
def test_a_laptop_knows_no_trainer(verb: str) -> None:
    found = read_back(run_command(verb, ASKED.to_changed_arguments(), KEY))
    assert "trainer" not in found
    assert "gpus" not in found
    assert found["marks"] == [HARD]


def test_a_filter_given_as_text_is_named_by_its_published_address_with_its_settings_in_it() -> None:
    asked = dataclasses.replace(ASKED, filter="kind: Filter\n", store="s3://bucket/st").to_changed_arguments()
    found = read_back(run_command("submit distill", asked, KEY))
    assert found["words"][-1] == f"s3://bucket/st/{KEY}"
    assert "profile" not in found
    assert "overrides" not in found


def test_the_report_has_them_from_the_record_of_the_first_step(flt: Filter, tmp_path: Path) -> None:
    facts = {"request": {"filter": "small-town", "labels": HARD, "store": "s3://b/st", "budget": 2.0}, "on": "cluster"}
    record = StepRecord.of("preflight", {}, {"filter_key": f"filters/x/v1/{'a' * 64}.yaml"}, [], facts)
    context: Context = gather(open_store(str(tmp_path)), flt, RunSummary(run="r1", steps=[record]))
    assert (context.request, context.on_cluster) == (facts["request"], True)
    typed = dict(commands(context))
    (again,) = [command for what, command in typed.items() if what.startswith("The whole run again")]
    assert again == f"distillery submit distill small-town --labels {shlex.quote(HARD)} --store s3://b/st --budget 2.0"
    assert all("--store s3://b/st" in command for command in typed.values())
