"""A request means the same in every folder, and is spelt as the graph spells its parameters."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from distillery.components.preflight.request import RunRequest
from tests.pipelines.harness import compile_alone


def test_its_fields_and_defaults_are_the_graphs() -> None:
    defined: dict[str, Any] = compile_alone("distill").spec["root"]["inputDefinitions"]["parameters"]
    assert {field.name for field in fields(RunRequest)} == set(defined)
    defaults = {name: parameter["defaultValue"] for name, parameter in defined.items() if "defaultValue" in parameter}
    expected = RunRequest("").to_arguments()
    assert expected.pop("filter") == ""
    assert defaults == expected


def test_paths_of_this_machine_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("filter.yaml").touch()
    request = RunRequest(
        "filter.yaml",
        labels="labels.jsonl",
        marks="marks.json",
        overrides=("spec.oracle.replies=r.jsonl", "data.labels=null", "training.epochs=3"),
    ).absolute()
    assert request.filter == str(tmp_path / "filter.yaml")
    assert (request.articles, request.labels) == ("", str(tmp_path / "labels.jsonl"))
    assert request.marks == str(tmp_path / "marks.json")
    assert request.overrides == (f"spec.oracle.replies={tmp_path / 'r.jsonl'}", "data.labels=null", "training.epochs=3")
    assert request.absolute() == request


@pytest.mark.parametrize(
    "request_",
    [
        RunRequest("a-filter", articles="s3://bucket/a.jsonl", marks="reference"),
        RunRequest("s3://bucket/filter.yaml", labels="s3://bucket/l.jsonl", marks="prefilter"),
        RunRequest("kind: Filter\nspec: 3\n", marks="s3://bucket/marks.json", overrides=("oracle.replies=s3://bucket/r",)),
    ],
)
def test_names_addresses_and_texts_stay_as_they_are(request_: RunRequest) -> None:
    assert request_.absolute() == request_


def test_what_is_left_at_its_default_is_the_pipelines_business() -> None:
    assert RunRequest("f", labels="l", budget=0.0).to_changed_arguments() == {"filter": "f", "labels": "l"}
    assert RunRequest("f", gpus=2, overrides=("a=1",)).to_changed_arguments() == {
        "filter": "f",
        "gpus": 2,
        "overrides": ["a=1"],
    }
