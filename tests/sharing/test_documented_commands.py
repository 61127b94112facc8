"""Every command of docs/sharing.md and of the room's README runs, in its order, in a folder of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.pipelines.harness import run_here
from tests.pipelines.test_documented_commands import commands

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["docs/sharing.md", "components/sharing/README.md"])
def test_every_command_of_the_page(page: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"predictions", "data", "export", "import"} <= {line[0] for line in type_page(page, home, tmp_path, monkeypatch)}


def type_page(page: str, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Type the commands of a page in their order, my-filter being the one of the store."""
    monkeypatch.setenv("DISTILLERY_STORE", str(home / ".distillery"))
    typed = commands((ROOT / page).read_text(encoding="utf-8"))
    assert typed
    for line in typed:
        words = [str(home / "filter.yaml") if word == "my-filter" else word for word in line]
        ran = run_here(*words, cwd=folder)
        assert ran.code == 0, f"distillery {shlex.join(line)}\n{ran.out}\n{ran.err}"
    return typed
