"""A store in which an adapter was trained and benchmarked, as far as gating and promotion look."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
