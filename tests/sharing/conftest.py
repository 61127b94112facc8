"""A store with a promoted student of made-up words and its base model, as an early version of this project left it."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipelines.harness import Ran, run_here
from tests.store.test_stores_of_the_first_layout import ARCHIVE

Distillery = Callable[..., Ran]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with filter.yaml and a store `.distillery`; tests only read it."""
    folder = tmp_path_factory.mktemp("sharing")
    with tarfile.open(ARCHIVE) as packed, pytest.MonkeyPatch.context() as patch:
        packed.extractall(folder, filter="data")
        patch.setenv("DISTILLERY_CACHE", str(folder / "cache"))
        patch.delenv("DISTILLERY_STORE", raising=False)
        (folder / "store").rename(folder / ".distillery")
        yield folder


@pytest.fixture
def distillery(home: Path) -> Distillery:
    """`distillery …` as typed in that folder."""
    return lambda *words: run_here(*words, cwd=home)


ADAPTER = "4bbd883ec4ec521c35dee3d66fb3d8609e74787a304b9eb2b65253b2d039d506"


@pytest.fixture
def copied_home(home: Path, tmp_path: Path) -> Path:
    """A copy of that folder, which a test may change."""
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home"
