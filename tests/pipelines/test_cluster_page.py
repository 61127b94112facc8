"""docs/cluster.md shows no command that the tests on a cluster don't run, and none whose flags don't exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"
# Beginnings of the commands that tests/cluster takes from the page, or runs as they stand.
RUN_ON_A_CLUSTER = (
    "kubectl apply --server-side -k manifests/crds",
    "kubectl apply -k manifests/overlays/testbed",
    "distillery models push",
    "distillery pipelines publish",
    "export KFP_ENDPOINT",
    "distillery submit distill",
    "distillery submit --follow RUN",
    "distillery submit --cancel RUN",
    "distillery logs RUN",
    "distillery submit score",
    "distillery submit select-student",
    "distillery schedule",
    "distillery get schedules",
    "distillery suspend",
    "distillery score",
)


def lines() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.mark.parametrize("line", lines())
def test_commands_of_the_page_are_run_by_a_test(line: str) -> None:
    assert line.startswith(RUN_ON_A_CLUSTER)


@pytest.mark.parametrize("line", [line for line in lines() if line.startswith("distillery ")])
def test_commands_of_the_page_parse(line: str) -> None:
    import typer.main

    from distillery.pipelines.cli.main import app

    words, command = shlex.split(line, comments=True)[1:], typer.main.get_command(app)
    context = None
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
    context = command.make_context("distillery", words)
    assert context.params


@pytest.mark.parametrize("picture", re.findall(r"\((screenshots/[a-z-]+\.png)\)", PAGE.read_text("utf-8")))
def test_pictures_are_there_and_small(picture: str) -> None:
    assert 0 < (PAGE.parent / picture).stat().st_size <= 200_000
