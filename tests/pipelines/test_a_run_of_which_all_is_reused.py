"""What commands load once a student is there: no more than they use.

A run of which everything is reused compiles no graph and loads no model, and ends as the run that did the work.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.pipelines.harness import run_distillery, write_filter

HEAVY = {"kfp", "torch", "transformers", "peft", "sklearn"}
# Each takes from a tenth of a second to several; a command may load those that stand beside it, and no other.
SLOW = HEAVY | {
    *(
        "boto3",
        "huggingface_hub",
        "kubernetes",
        "matplotlib",
        "numpy",
        "openai",
        "openvino",
        "pandas",
        "pyarrow",
        "requests",
    ),
    *("safetensors", "scipy", "tokenizers"),
}
TABLES = {"numpy", "pyarrow"}  # RE2, by which patterns are checked, is pyarrow's, which imports numpy
SCRIPT = """
import runpy, sys
sys.argv = ["distillery", *sys.argv[1:]]
try:
    runpy.run_module("distillery.pipelines.cli.main", run_name="__main__")
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=open("modules.txt", "w"))
"""


class Ended(NamedTuple):
    """How a command ended: its exit code, what `--json` printed, and the modules that it loaded."""

    code: int
    result: dict[str, Any]
    modules: set[str]
    err: str


def typed(folder: Path, *arguments: str | Path) -> Ended:
    away = {"KUBECONFIG": str(folder / "no-such-kubeconfig")}
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **away}
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    modules = set((folder / "modules.txt").read_text(encoding="utf-8").split())
    return Ended(done.returncode, json.loads(done.stdout or "{}") if "--json" in arguments else {}, modules, done.stderr)


def distill(folder: Path, *arguments: str | Path) -> Ended:
    return typed(folder, "distill", *arguments, "--json")


def kept(folder: Path, run: str) -> dict[str, Any]:
    """Return what a run left: the records of its steps by file, and its report without the run's own name."""
    left = folder / ".distillery" / "runs" / run
    pages = {path.name: path.read_text(encoding="utf-8").replace(run, "RUN") for path in left.glob("report.*")}
    records = {path.name: json.loads(path.read_bytes()) for path in left.glob("*.json") if path.name != "report.json"}
    return {**records, **{name: page for name, page in pages.items() if name != "report.json"}}


def logged(folder: Path, run: str) -> list[str]:
    """Return the steps that the log of a run, kept in the store, is cut by."""
    log = (folder / ".distillery" / "runs" / run / "run.log").read_text(encoding="utf-8")
    return [line[1:] for line in log.split("\n") if line.startswith("\x1e")]  # a line break of its own to splitlines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, labels_file: Path) -> Path:
    """A folder with a store in which one student was trained and promoted."""
    folder = tmp_path_factory.mktemp("reused")
    write_filter(folder / "filter.yaml", tiny_encoder)
    done = distill(folder, "filter.yaml", "--labels", labels_file)
    assert done.code == 0, done.err
    return folder


COMMANDS = {
    "--help": set[str](),
    "explain spec.training.epochs": set(),
    "get runs": set(),
    "get adapters": set(),
    "get channels": set(),
    "describe channels small-town": set(),
    "gc": set(),
    "filters lint filter.yaml": TABLES,
    "history filter.yaml": TABLES,
    "report filter.yaml --md": TABLES,
    "compare --all": TABLES,
    "check filter.yaml": TABLES,
    "plan filter.yaml --labels LABELS": TABLES,
    "score filter.yaml LABELS --out scores": TABLES | {"torch", "safetensors", "tokenizers"},
    "score filter.yaml LABELS --out scores --shards 1": TABLES,  # once more
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_what_it_uses(folder: Path, labels_file: Path, command: str) -> None:
    ended = typed(folder, *command.replace("LABELS", str(labels_file)).split())
    assert ended.code == 0, ended.err
    assert ended.modules & SLOW <= COMMANDS[command]


@pytest.mark.parametrize(
    ("changed", "code", "verdict"),
    [
        ({}, 0, "promote"),
        ({"gates": [{"metric": "mae", "below": 0.0001}, {"metric": "articles", "atLeast": 5}]}, 3, "reject"),
        ({"promotion": {"approval": "required", "channel": "other"}}, 4, "approve"),
    ],
    ids=["promoted", "rejected", "held"],
)
def test_it_loads_nothing_heavy_and_ends_as_before(
    folder: Path, tiny_encoder: Path, labels_file: Path, changed: dict[str, Any], code: int, verdict: str
) -> None:
    given = (write_filter(folder / f"{verdict}.yaml", tiny_encoder, **changed), "--labels", labels_file)
    distill(folder, *given)  # judges by these gates, in a graph where they are new
    again, once_more = distill(folder, *given), distill(folder, *given)
    for run in (again, once_more):
        assert (run.code, run.result.get("verdict")) == (code, verdict), run.err
        assert not run.modules & HEAVY
        assert {name for name, step in run.result["steps"].items() if not step["reused"]} <= {
            "preflight",
            verdict,
            "hold",
            "report",
        }
    assert {**again.result, "run": "", "report": ""} == {**once_more.result, "run": "", "report": ""}


def test_it_leaves_the_records_and_the_report_of_a_run_through_the_graph(
    folder: Path, labels_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("filter.yaml", "--labels", labels_file)
    here = distill(folder, *given)
    monkeypatch.setattr(
        sys.modules[__name__],
        "SCRIPT",
        "import distillery.pipelines.plan as plan\nplan.due = lambda steps: ['label']\n" + SCRIPT,
    )
    graph = distill(folder, *given)
    assert (here.code, graph.code) == (0, 0), here.err + graph.err
    assert [re.sub(r"\d+ s\b|\s", "", line) for line in here.err.splitlines()] == [
        re.sub(r"\d+ s\b|\s", "", line) for line in graph.err.splitlines()
    ]
    assert kept(folder, here.result["run"]) == kept(folder, graph.result["run"])
    steps = logged(folder, here.result["run"])
    assert steps == [step for step in logged(folder, graph.result["run"]) if step != "run"]
    assert (steps[0], steps[-1]) == ("preflight", "report")


def test_a_summary_that_cannot_be_read_stops_no_plan_and_no_run(folder: Path, labels_file: Path) -> None:
    summary = folder / ".distillery" / "summaries" / "last" / "small-town.json"
    whole = summary.read_bytes()
    for data in (b"", whole[: len(whole) // 2], b"[]", b'{"format": 99}'):
        summary.write_bytes(data)
        planned = run_distillery("plan", "filter.yaml", "--labels", labels_file, "--json", cwd=folder)
        assert planned.code == 0, planned.err
        assert {step["action"] for step in planned.json["steps"]} == {"reuse"}
    assert distill(folder, "filter.yaml", "--labels", labels_file).code == 0
    assert json.loads(summary.read_bytes())["steps"]


def test_a_channel_that_was_moved_elsewhere_is_due(folder: Path, labels_file: Path) -> None:
    given = ("filter.yaml", "--labels", labels_file, "--set", "promotion.channel=fresh")
    planned = run_distillery("plan", *given, "--json", cwd=folder).json["steps"]
    assert (planned[-1]["step"], planned[-1]["action"], planned[-1]["why"]) == (
        "promote",
        "run",
        ["fresh points at nothing yet"],
    )
    assert distill(folder, *given).result["promoted"]
    assert run_distillery("plan", *given, "--json", cwd=folder).json["steps"][-1]["action"] == "reuse"
