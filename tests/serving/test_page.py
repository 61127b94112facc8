"""What docs/serving.md shows is what the server takes and answers, and its table of limits is the command's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import typer.main

from distillery.components.serving import limits, server
from distillery.pipelines.cli import main
from tests.serving.made import Client

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text("utf-8")
EXAMPLES: list[Any] = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)]


def test_the_request_that_the_page_types_is_answered_in_the_form_that_it_shows(client: Client) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("curl ")]
    answer = client.ask("POST", "/score", shlex.split(line)[-1].encode())
    assert answer.status == 200
    shown = EXAMPLES[0]
    assert answer.json.keys() == shown.keys()
    assert {tuple(row) for row in shown["scores"]} == {tuple(answer.json["scores"][0])}


def test_the_inference_request_of_the_page_is_read(client: Client) -> None:
    answer = client.ask("POST", "/v2/models/demo/infer", EXAMPLES[1])
    assert answer.status == 200
    assert answer.json["id"] == "1"


def test_options_limits_and_figures_of_the_page_are_those_of_the_code(client: Client) -> None:
    command: Any = typer.main.get_command(main.app)
    options = {name: parameter for parameter in command.commands["serve"].params for name in parameter.opts}
    for option in set(re.findall(r"(?<!\w)--[a-z][a-z-]+", PAGE)):
        assert option in options, option
    table = dict(re.findall(r"^\| `(--[a-z]+)[^|]*\| ([\d,]+) \|", PAGE, flags=re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in table.items()} == {
        name: options[name].default for name in ("--body", "--queue", "--wait", "--grace")
    }
    assert f"{limits.BODIES_BYTES // limits.MIB} MiB" in PAGE
    assert f"{server.HEAD_SECONDS:g} s, {limits.BODY_SECONDS:g} s" in PAGE
    assert f"connections | {server.CONNECTIONS:,} " in PAGE
    figures = client.ask("GET", "/metrics").body.decode()
    for name in set(re.findall(r"`(distillery_\w+)`", PAGE)):
        assert f"# HELP {name.removesuffix('_total')}" in figures or f"# HELP {name}" in figures, name


def test_every_status_of_the_page_is_one_that_the_server_gives() -> None:
    told = {int(number) for row in re.findall(r"^\| ([\d, ]+) \| [^|]+ \|$", PAGE, re.MULTILINE) for number in row.split(",")}
    assert told == {400, 401, 404, 408, 413, 429, 503}
