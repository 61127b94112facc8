"""What the top-level documents name is there: make targets, commands, files, folders, hooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
import yaml

from distillery.pipelines.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["docs/first-hour.md", "docs/python.md", "docs/sharing.md", "docs/scoring.md", "docs/cluster.md", "docs/reliability.md"]
DOCUMENTS = [*sorted(path.name for path in ROOT.glob("*.md")), *PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_documents_are_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "AGENTS.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_are_in_the_makefile(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):", text_of("Makefile"), flags=re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text_of(name), flags=re.MULTILINE)) - known == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_and_their_options_exist(name: str) -> None:
    app = typer.main.get_command(main.app)
    for typed in re.findall(r"(?:`|^)distillery ((?:[a-z][a-z-]* ?|--[a-z-]+ ?)+)", text_of(name), flags=re.MULTILINE):
        command, words = app, typed.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert command is not app or words[0].startswith("--"), f"distillery {typed}"
        if command is not app and name == "CHANGELOG.md":
            continue  # it names what was removed, too
        assert {word for word in words if word.startswith("--")} - known - {"--help"} == set(), f"distillery {typed}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text_of(name))
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def test_the_tests_that_show_what_is_promised_are_there() -> None:
    named = re.findall(r"tests/[a-z0-9_/]+\.py", text_of("docs/reliability.md"))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_tree_of_the_readme_is_that_of_the_project() -> None:
    block = re.search(r"## Where things are\n\n```\n(.*?)```", text_of("README.md"), flags=re.DOTALL)
    assert block
    at, listed = list[str](), set[str]()
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.match(r"\s*(\S+(?:, \S+)*)  +\S", line)
        assert names, line
        for name in names[1].split(", "):
            at[depth:] = [name.rstrip("/")]
            path = "/".join(at)
            assert (ROOT / path).exists(), path
            listed.add(path)
    folders = {f"components/{path.parent.name}" for path in (ROOT / "components").glob("*/__init__.py")}
    assert folders - listed == set()


def test_hooks_run_the_lint_line_of_the_makefile() -> None:
    hooks = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"], "no network"
    tools = [hook["entry"].split()[0].removeprefix(".venv/") for repo in hooks for hook in repo["hooks"]]
    lint = re.search(r"^LINT := (.*)$", text_of("Makefile"), flags=re.MULTILINE)
    assert lint
    assert tools == [part.split()[0].replace("$(BIN)", "bin") for part in lint[1].split(" && ")]


def test_every_folder_of_components_has_a_readme_with_a_table_of_its_files() -> None:
    folders = [path for path in sorted((ROOT / "components").iterdir()) if (path / "__init__.py").is_file()]
    readmes = [folder / "README.md" for folder in folders]
    assert [path for path in readmes if not path.is_file()] == []
    assert [
        path for path in readmes if not re.search(r"\A# \w.*^\| file \| ", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    ] == []
