"""README's table of exit codes is the one that the code goes by."""

from __future__ import annotations

import re
from pathlib import Path

from distillery.components.runtime.exit_codes import MEANINGS, ExitCode, table

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_has_the_table_that_is_made_from_the_code() -> None:
    assert table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_code_has_one_meaning() -> None:
    assert list(MEANINGS) == list(ExitCode)
    assert len(set(MEANINGS.values())) == len(ExitCode)


def test_no_command_ends_with_a_number_of_its_own() -> None:
    pattern = re.compile(r"(?:typer\.Exit|sys\.exit|SystemExit)\([0-9]")
    for path in sorted((ROOT / "pipelines").rglob("*.py")):
        assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_agents_are_told_every_code() -> None:
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    rules = text.partition("**exit code** first")[2].partition("\n- ")[0]
    assert {int(number) for number in re.findall(r"\b\d+\b", rules)} == set(ExitCode)
