"""Every command of the room's README runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sharing.test_documented_commands import type_page


def test_every_command_of_the_page(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_page("components/reviewing/README.md", home, tmp_path, monkeypatch)
