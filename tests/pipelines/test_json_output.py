"""With --json, standard output holds one JSON object, whatever command is typed and however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError, Rejected, Stopped, Waiting
from distillery.pipelines.cli import main
from distillery.pipelines.cli.printing import print_json
from tests.pipelines.harness import run_here

# Options that the command needs before it looks at what it is given.
MORE = {
    "select": ["--n", "5"],
    "benchmark": ["--labels", "nowhere.jsonl"],
    "select-student": ["--candidates", "nowhere.yaml"],
    "submit select-student": ["--candidates", "nowhere.yaml"],
    "report": ["--out", "report.html"],
    "explain": ["spec.nowhere"],
    "score": ["--out", "scores"],
    "drift": ["--scores", "scores"],
    "schedule": ["--cron", "0 3 * * *"],
    "promote": ["--to", "production"],
    "predictions": ["--out", "predictions.csv"],
    "data": ["--out", "data"],
    "review": ["--out", "review.xlsx"],
    "export folder": ["--out", "exported"],
    "export oci": ["--out", "exported"],
    "export onnx": ["--out", "exported"],
    "export kserve": ["--out", "kserve.yaml"],
    "export hub": ["--to", "owner/name"],
}
NEVER_FAILS = {
    "demo",
    "check",
    "filters metrics",
    "filters new",
    "filters schema",
    "models list",
    "pipelines compile",
    "pipelines files",
    "pipelines publish",
}


def leaves(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the app by the words that name it."""
    command = command or typer.main.get_command(main.app)
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*path, name))
    if not getattr(command, "commands", {}):
        yield " ".join(path), command


COMMANDS = dict(leaves())


def one_object(text: str) -> dict[str, Any]:
    found = json.loads(text)  # a second object, or a line of text, is a fault of its own
    assert isinstance(found, dict)
    return found


def error_of(ran: Any) -> dict[str, Any]:
    error = one_object(ran.out)["error"]
    assert set(error) == {"what", "where", "hint", "code"}
    assert error["code"] == ran.code
    assert error["what"]
    return dict(error)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_takes_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_mistyped_option_is_one_object(name: str, tmp_path: Path) -> None:
    ran = run_here(*name.split(), "--jsonn", "--json", cwd=tmp_path)
    assert ran.code == 2
    error = error_of(ran)
    assert name in error["where"]
    assert "--help" in error["hint"]


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NEVER_FAILS))
def test_a_filter_or_file_that_is_not_there_is_one_object(name: str, tmp_path: Path) -> None:
    command = COMMANDS[name]
    given = ["nowhere" for parameter in command.params if parameter.param_type_name == "argument" and parameter.required]
    ran = run_here(*name.split(), *given, *MORE.get(name, []), "--json", cwd=tmp_path)
    assert ran.code == 2
    error_of(ran)
    assert any(line.startswith("error: ") for line in ran.err.splitlines())


@pytest.mark.parametrize("line", ["filters lint", "filters diff uplifting", "select uplifting", "", "filters", "nosuch"])
def test_what_is_left_out_is_one_object(line: str, tmp_path: Path) -> None:
    ran = run_here(*line.split(), "--json", cwd=tmp_path)
    assert ran.code == 2
    error_of(ran)


@pytest.mark.parametrize("words", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
def test_output_json_is_as_json_where_a_command_fails(words: list[str], tmp_path: Path) -> None:
    ran = run_here("describe", "adapters", "nowhere", *words, cwd=tmp_path)
    assert ran.code == 2
    error_of(ran)


SUCCESSES = {
    "demo --out demo": {"n", "articles", "replies"},
    "filters new my-filter": {"file"},
    "filters lint uplifting": {"findings"},
    "filters show uplifting": {"apiVersion", "kind", "metadata", "spec"},
    "filters prompt uplifting": {"prompt"},
    "filters metrics": {"metrics", "baselines"},
    "filters metrics mae": {"metrics", "baselines"},
    "filters schema": {"$schema", "properties", "$defs"},
    "explain": {"path", "type", "keys"},
    "explain spec.training.epochs": {"path", "type", "default", "bounds"},
    "filters diff uplifting uplifting": {"changes"},
    "history uplifting": {"filter", "channel", "history"},
    "models list --store .distillery": {"models"},
    "check": {"checks"},
    "check --bug-report": {"checks", "report"},
    "pipelines compile --manifests --out compiled": {"files"},
    "pipelines files": {"files"},
}


@pytest.mark.parametrize("line", sorted(SUCCESSES))
def test_what_succeeds_is_one_object(line: str, tmp_path: Path) -> None:
    if line.startswith(("history", "models")):
        (tmp_path / ".distillery").mkdir()
    if line.startswith("pipelines"):  # in a process of its own: KFP looks through every module that is loaded
        words = [sys.executable, "-m", "distillery.pipelines.cli.main", *line.split(), "--json"]
        out = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    else:
        out = run_here(*line.split(), "--json", cwd=tmp_path).out
    found = one_object(out)
    assert "error" not in found
    assert set(found) >= SUCCESSES[line]


class Ending:
    """An app that ends as it is told to."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> None:
        print("a library says this on standard output")
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no", where="a:1", hint="yes"), ExitCode.INPUT),
        (Rejected("no"), ExitCode.REJECTED),
        (Waiting("no"), ExitCode.WAITING),
        (Stopped("no", hint="later"), ExitCode.FAILED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (SystemExit(4), ExitCode.WAITING),
    ],
)
def test_every_end_is_one_object(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(main, "app", Ending(error))
    ran = run_here("plan", "--json", cwd=tmp_path)
    assert ran.code == code
    error_of(ran)
    assert "a library says this" in ran.err


def test_a_fault_of_our_own_is_one_object_and_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "app", Ending(KeyError("ours")))
    monkeypatch.setattr(sys, "argv", ["distillery", "plan", "--json"])
    with pytest.raises(KeyError):
        main.main()
    error = one_object(capsys.readouterr().out)["error"]
    assert error["code"] == 1
    assert "KeyError" in error["what"]


def test_a_result_that_is_printed_is_not_followed_by_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def rejected() -> None:
        print_json({"verdict": "reject"})
        raise SystemExit(ExitCode.REJECTED)

    monkeypatch.setattr(main, "app", rejected)
    ran = run_here("gate", "--json", cwd=tmp_path)
    assert (ran.code, one_object(ran.out)) == (3, {"verdict": "reject"})


def test_without_json_standard_output_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(main, "app", Ending(InputError("no")))
    ran = run_here("plan", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "a library says this on standard output\n")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["hup", "int", "term"]
)
def test_a_signal_ends_a_command_with_its_row_of_the_table(number: int, code: int, tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom distillery.pipelines.cli import main\nsys.argv = ['distillery', 'plan', '--json']\n"
        f"main.app = lambda: os.kill(os.getpid(), {int(number)})\nmain.main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == code
    assert one_object(ran.stdout)["error"]["code"] == code
