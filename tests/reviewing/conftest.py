"""A distilled store, and what a review of it is drawn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.components.artifacts.adapter import find_run
from distillery.components.artifacts.filter import read_filter
from distillery.components.reviewing.draw import Judged, read_judged
from distillery.components.store import open_store
from tests.sharing.conftest import copied_home, distillery, home

__all__ = ["copied_home", "distillery", "home"]


@pytest.fixture(scope="module")
def judged(home: Path) -> Judged:
    store = open_store(str(home / ".distillery"))
    summary = find_run(store, str(home / "filter.yaml"))
    return read_judged(store, read_filter(store, str(summary.filter_key)), summary)
