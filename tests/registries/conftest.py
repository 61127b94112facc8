"""A store in a folder: what a registry is told does not depend on where the store lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
