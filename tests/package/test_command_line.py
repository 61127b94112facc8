"""The `distillery` command itself: groups of its help, its version, completion, and a missing package as one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer.main

from distillery.components.runtime.step import step_context
from distillery.filters.errors import InputError
from distillery.filters.lint import lint
from distillery.filters.loading import load_filter
from distillery.pipelines.cli import main
from tests.pipelines.harness import run_distillery


def missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_every_command_stands_in_one_group() -> None:
    names = [name for group in main.GROUPS.values() for name in group]
    assert sorted(names) == sorted(typer.main.get_command(main.app).commands)  # type: ignore[attr-defined]


def test_help_shows_the_groups_and_whole_sentences(tmp_path: Path) -> None:
    shown = run_distillery("--help", cwd=tmp_path)
    assert shown.code == 0
    titles = [line.removesuffix(":") for line in shown.out.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == ["Options", *main.GROUPS]
    assert "--install-completion" in shown.out
    assert "..." not in shown.out.partition("Start here:")[2]


def test_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert run_distillery("--version", cwd=tmp_path).out == f"distillery {version('llm-distillery')}\n"


@pytest.mark.parametrize(("package", "extra"), [("pyarrow.parquet", "light"), ("torch", "torch"), ("google.genai", "oracle")])
def test_a_missing_package_is_one_line_and_exit_code_2(
    package: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "app", lambda: missing(package))
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"pip install '.[{extra}]'" in said


def test_a_missing_module_of_our_own_is_a_fault_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "app", lambda: missing("distillery.nowhere"))
    with pytest.raises(ModuleNotFoundError):
        main.main()


def test_a_step_ends_with_the_same_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, step_context("train", tmp_path.as_uri(), "", "run"):
        missing("torch")
    assert ended.value.code == 2
    assert "pip install '.[torch]'" in capsys.readouterr().out


def test_a_filter_is_linted_without_numpy_and_says_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    flt = load_filter("sustainability-technology")
    assert not [finding for finding in lint(flt) if "tried out" in finding.message]
    monkeypatch.setattr("distillery.filters.lint.find_spec", lambda module: None)
    found = [finding for finding in lint(flt) if "tried out" in finding.message]
    assert [(finding.level, "'.[light]'" in finding.hint) for finding in found] == [("warning", True)]


def test_windows_is_said_to_be_unsupported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: Windows is not supported: use WSL 2, a container, or a cluster\n"


def test_json_has_the_error_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise InputError("is no score", where="labels.jsonl:3", hint="write 0 to 10", parameter="labels")

    monkeypatch.setattr(main, "app", fails)
    monkeypatch.setattr(main.sys, "argv", ["distillery", "plan", "demo", "--json"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert json.loads(out)["error"] == {
        "what": "is no score",
        "where": "labels.jsonl:3",
        "hint": "write 0 to 10",
        "code": 2,
    }
    assert err.count("\n") == 1
    monkeypatch.setattr(main.sys, "argv", ["distillery", "plan", "demo"])
    with pytest.raises(SystemExit):
        main.main()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("line", ["-h", "filters -h", "filters lint -h"])
def test_help_has_a_short_name(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(main.sys, "argv", ["distillery", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    assert "-h, --help" in capsys.readouterr().out
