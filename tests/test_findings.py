"""Each script under findings/ says what it shows, and for which versions; they install from outside, so no test runs them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "findings"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
FIELDS = ("Version", "Behaviour", "Why it surprises", "Who is bitten", "Seen")


def test_the_table_names_each_script_once() -> None:
    rows = re.findall(r"^\| \[([^]]+)\]\(([^)]+)\) \|", (FOLDER / "README.md").read_text(), re.M)
    assert SCRIPTS
    assert sorted(name for name, _ in rows) == [path.stem for path in SCRIPTS]
    assert all(link == f"{name}.sh" for name, link in rows)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_tells_what_it_shows_and_pins_what_it_installs(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    head = [line for line in lines[1:] if line.startswith("#")][: lines.index("set -euo pipefail") - 1]
    assert lines[0] == "#!/usr/bin/env bash"
    assert tuple(re.findall(r"^# ([A-Z][^:]+): \S", "\n".join(head), re.M)) == FIELDS
    assert os.access(path, os.X_OK)
    assert "work=$(mktemp -d)" in lines
    assert "trap 'rm -rf \"$work\"' EXIT" in lines
    assert "changed: " in text, "it ends with a word when the behaviour changes"
    assert "distillery" not in text.lower(), "a finding is about other software, and needs none of ours"
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text), "pip is configured where it runs"
    installs = [line.split("install -q ", 1)[1].split() for line in lines if '/pip" install -q ' in line]
    assert installs
    for word in (word for words in installs for word in words if not word.startswith(("-", '"$work'))):
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", word), f"{word} has no version"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_is_bash(path: Path) -> None:
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
