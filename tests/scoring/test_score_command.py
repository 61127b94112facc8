"""`distillery score`: what it refuses before it does anything, and what Ctrl-C leaves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import components.scoring.cluster as cluster
import components.scoring.manifest as manifest
from components.scoring.manifest import Place
from filters.errors import InputError
from pipelines import cli_score
from pipelines.cli import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["score", "some-filter", "articles.jsonl", *arguments])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cancel"], "--cancel: is for a cluster"),
        (["--parallelism", "3"], "--parallelism: is for a cluster"),
        (["--namespace", "x"], "--namespace: is for a cluster"),
        (["--on", "cluster", "--format", "jsonl"], "--format: must be parquet on a cluster"),
    ],
)
def test_flags_that_dont_go_together(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "find_place", lambda namespace="": Place("ns", "image:1", "", "", {}))


@pytest.mark.parametrize(("flag", "name"), [("--store", "--store file://"), ("--out", "--out /x")])
def test_a_cluster_reaches_no_folder_of_this_machine(place: None, tmp_path: Path, flag: str, name: str) -> None:
    arguments = {"--store": str(tmp_path)} if flag == "--store" else {"--store": "s3://b/m", "--out": "/x"}
    result = run("--on", "cluster", *(word for pair in arguments.items() for word in pair))
    assert isinstance(result.exception, InputError)
    assert name in str(result.exception)
    assert "no place that a cluster reaches" in str(result.exception)


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(
    place: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], s3_uri: str
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    job = SimpleNamespace(adopted=False, name="score-x", left=[0], place=Place("ns", "", "", "", {}), kubectl="kubectl -n ns …")
    monkeypatch.setattr(cli_score, "_subject", lambda *_: (None, "a" * 64))
    monkeypatch.setattr(cluster, "plan_on_cluster", lambda *_, **__: SimpleNamespace(shards=1))
    monkeypatch.setattr(cluster, "submit", lambda *_, **__: job)
    monkeypatch.setattr(cluster, "follow", interrupted)
    result = run("--on", "cluster", "--store", s3_uri)
    assert result.exit_code == 130
    assert "the Job goes on: kubectl -n ns" in result.output
    monkeypatch.setattr(cluster, "cancel", lambda *_: ["score-x"])
    result = run("--on", "cluster", "--store", s3_uri, "--cancel")
    assert (result.exit_code, result.output) == (0, "deleted score-x; finished parts stay\n")
