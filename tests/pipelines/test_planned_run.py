"""`plan --out`, `plan --exit-code` and `distill --plan`: a plan is a document, and what runs is what was planned."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.hub import NotFetched, hub_path, nothing_fetched
from distillery.components.store import digest_file
from distillery.filters.errors import InputError
from distillery.pipelines.planned_run import RunPlan, moved, read_plan
from tests.pipelines.harness import Ran, label_rows, run_distillery, run_here, write_filter, write_rows

GUARD = """
import runpy, socket, sys
def refuse(*given, **_):
    open("asked.txt", "a").write(repr(given[1:]) + "\\n")
    raise OSError("no network here")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = refuse
sys.argv = ["distillery", *sys.argv[1:]]
runpy.run_module("distillery.pipelines.cli.main", run_name="__main__")
"""


def guarded(folder: Path, *arguments: str | Path, **environment: str) -> Ran:
    """`distillery …` in a process whose sockets note and refuse every connection; no hub's client is told to be offline."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    command = [sys.executable, "-c", GUARD, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env={**known, **environment}, capture_output=True, text=True, timeout=240)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A folder with labels, a filter, and the plan of a first run, which wrote nothing else."""
    folder = tmp_path_factory.mktemp("planned")
    write_filter(folder / "filter.yaml", tiny_encoder)
    write_rows(folder / "labels.jsonl", label_rows(120))
    ran = planned(folder, "--out", "first.json", "--exit-code")
    assert ran.code == 5, ran.err
    assert "run it   distillery distill --plan first.json" in ran.out
    assert not (folder / ".distillery").exists()
    return folder


def planned(folder: Path, *more: str | Path) -> Ran:
    return run_here("plan", "filter.yaml", "--labels", "labels.jsonl", *more, cwd=folder)


def test_the_document_says_what_is_read_run_and_moved(folder: Path) -> None:
    plan = read_plan(folder / "first.json")
    assert plan.filter.name == "small-town"
    assert plan.inputs == {"labels": digest_file(folder / "labels.jsonl")}
    assert plan.request.store.startswith("file://")
    assert Path(plan.request.labels) == folder / "labels.jsonl"
    assert (plan.channel.name, plan.channel.adapter) == ("production", None)
    assert [(step.step, step.action) for step in plan.steps][:2] == [("label", "run"), ("audit", "run")]
    assert plan.usd == 0


@pytest.mark.timeout(900)
def test_what_runs_is_what_was_planned_and_then_the_plan_no_longer_holds(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    assert planned(tmp_path, "--out", "plan.json").code == 0
    done = run_distillery("distill", "--plan", "plan.json", "--json", cwd=tmp_path, timeout=600)
    assert done.code == 0, done.err
    assert done.json["promoted"]
    runs = sorted((tmp_path / ".distillery" / "runs").iterdir())
    again = run_here("distill", "--plan", "plan.json", "--json", cwd=tmp_path)
    assert again.code == 2
    assert again.json["error"]["code"] == 2
    lines = again.json["moved"]
    assert any(line.startswith("channel.adapter: none → ") for line in lines)
    assert "steps.label.action: run → reuse" in lines
    assert all(f"moved: {line}" in again.err for line in lines)
    assert sorted((tmp_path / ".distillery" / "runs").iterdir()) == runs

    assert planned(tmp_path, "--exit-code").code == 0
    due = planned(tmp_path, "--set", "training.epochs=3", "--exit-code", "--json")
    assert due.code == 5
    steps = {step["step"]: step for step in due.json["steps"]}
    assert steps["train"]["action"] == "run"
    assert steps["train"]["why"][0] == "training.epochs: 2 → 3"
    assert steps["train"]["seconds"] > 0
    assert "by the pace of last time" in steps["train"]["cost"]
    assert planned(tmp_path, "--set", "training.epochs=3").code == 0
    moved = planned(tmp_path, "--set", "promotion.channel=elsewhere", "--exit-code")
    assert (moved.code, "would run: promote" in moved.out) == (5, True)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("labels", "inputs.labels: "),
        ("filter", "filter.spec.training.epochs: 2 → 3"),
        ("gates", "filter.spec.gates[0].below: 9.0 → 8.0"),
        ("description", "filter.spec.description: "),
    ],
)
def test_what_moved_is_told_line_by_line(change: str, line: str, folder: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    write_filter(tmp_path / "filter.yaml", tiny_encoder)
    rows = label_rows(120)
    write_rows(tmp_path / "labels.jsonl", rows)
    given = ("--store", folder / ".distillery", "--out", "plan.json")
    assert run_here("plan", "filter.yaml", "--labels", "labels.jsonl", *given, cwd=tmp_path).code == 0
    text = (tmp_path / "filter.yaml").read_text(encoding="utf-8")
    if change == "labels":
        write_rows(tmp_path / "labels.jsonl", rows[1:])
    elif change == "filter":
        (tmp_path / "filter.yaml").write_text(text.replace('"epochs": 2', '"epochs": 3'), encoding="utf-8")
    elif change == "gates":
        (tmp_path / "filter.yaml").write_text(text.replace('"below": 9.0', '"below": 8.0'), encoding="utf-8")
    else:
        (tmp_path / "filter.yaml").write_text(text.replace("for tests", "for a test"), encoding="utf-8")
    ran = run_here("distill", "--plan", "plan.json", cwd=tmp_path)
    assert ran.code == 2
    assert [told for told in ran.err.splitlines() if told.startswith(f"moved: {line}")]
    assert "nothing was run or spent" in ran.err
    assert ran.out == ""


def test_the_rest_of_the_command_line_stands_in_the_plan(folder: Path) -> None:
    for more in (["filter.yaml"], ["--labels", "labels.jsonl"], ["--set", "training.epochs=3"], ["--budget", "5"]):
        ran = run_here("distill", *more, "--plan", "first.json", cwd=folder)
        assert ran.code == 2
        assert "a plan has its own" in ran.err
    assert "no filter is named" in run_here("distill", cwd=folder).err


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 9}', b"\xff", None])
def test_what_is_no_plan_is_one_line(data: bytes | None, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_plan(file)
    assert str(file) in str(caught.value)
    whole = json.loads((folder / "first.json").read_bytes())
    for name in whole:
        file.write_text(json.dumps({**whole, name: "odd"}), encoding="utf-8")
        if name == "program":
            assert moved(read_plan(folder / "first.json"), read_plan(file)) == [f"program: {whole['program']} → odd"]
            continue
        with pytest.raises(InputError):
            read_plan(file)


def test_a_plan_that_can_not_be_written_is_one_line(folder: Path) -> None:
    ran = planned(folder, "--out", folder / "no such folder" / "plan.json")
    assert ran.code == 2
    assert ran.err.startswith("error: --out ")


def test_a_plan_reads_back_as_it_was_written(folder: Path) -> None:
    plan = read_plan(folder / "first.json")
    assert RunPlan.read(plan.to_bytes(), "again") == plan
    assert plan.request.request().to_arguments()["overrides"] == []


@pytest.mark.parametrize("given", ["labels", "articles"])
def test_no_hub_is_asked(given: str, tmp_path: Path) -> None:
    oracle: dict[str, Any] = {"provider": "openai", "model": "m", "baseUrl": "http://127.0.0.1:9/v1"}
    write_filter(tmp_path / "filter.yaml", Path("somebody/some-model"), oracle=oracle)
    ran = guarded(
        tmp_path,
        *("plan", "filter.yaml", f"--{given}", "hf://datasets/somebody/some-articles", "--json", "--out", "plan.json"),
        HF_HOME=str(tmp_path / "hub"),
        OPENAI_API_KEY="sk-test",
    )
    assert not (tmp_path / "asked.txt").exists(), (tmp_path / "asked.txt").read_text()
    assert ran.code == 0, ran.err
    steps = {step["step"]: step for step in ran.json["steps"]}
    assert steps["label"]["why"] == [f"--{given} hf://datasets/somebody/some-articles was not fetched from the hub yet"]
    assert read_plan(tmp_path / "plan.json").inputs == {given: None}


def test_a_base_of_the_hub_is_not_looked_for_there(tmp_path: Path) -> None:
    write_filter(tmp_path / "filter.yaml", Path("somebody/some-model"))
    write_rows(tmp_path / "labels.jsonl", label_rows(60))
    ran = guarded(tmp_path, "plan", "filter.yaml", "--labels", "labels.jsonl", "--json", HF_HOME=str(tmp_path / "hub"))
    assert not (tmp_path / "asked.txt").exists()
    assert ran.code == 0, ran.err


def test_the_guard_fires_where_something_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with nothing_fetched(), pytest.raises(NotFetched):
        hub_path("hf://datasets/somebody/some-articles", parameter="labels")
    write_filter(tmp_path / "filter.yaml", Path("somebody/some-model"))
    given = ("labels", "import", "filter.yaml", "hf://datasets/somebody/some-articles")
    guarded(tmp_path, *given, HF_HOME=str(tmp_path / "hub"))
    assert (tmp_path / "asked.txt").exists()
