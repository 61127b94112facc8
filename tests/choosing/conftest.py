"""A tiny base model, a split of articles whose words decide their scores, and candidates of one or two epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distillery.components.choosing.candidates import Candidate, read_candidates
from distillery.components.store import Store, open_store
from distillery.filters.filter import Filter
from tests.training.conftest import one_thread, store_split, tiny_filter  # noqa: F401 - fixtures

Make = Callable[[Filter, str], list[Candidate]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all: what one test trained the next one reuses."""
    return open_store(str(tmp_path_factory.mktemp("choosing") / "store"))


@pytest.fixture(scope="module")
def split(store: Store) -> str:
    return store_split(store, (32, 24, 12))


@pytest.fixture
def candidates(tmp_path: Path) -> Make:
    """`candidates(flt, text)`: those of a file with this text."""

    def make(flt: Filter, text: str) -> list[Candidate]:
        path = tmp_path / "candidates.yaml"
        path.write_text(text, encoding="utf-8")
        return read_candidates(path, flt)

    return make
