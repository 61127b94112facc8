"""Fixtures over the harness: labels to learn from, and the command in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipelines.harness import Ran, label_rows, run_distillery, write_rows


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("labels") / "labels.jsonl", label_rows(240))


@pytest.fixture
def distillery(tmp_path: Path) -> Callable[..., Ran]:
    """Runs the command in a folder of the test's own."""

    def run(*arguments: str | Path, timeout: float = 240) -> Ran:
        return run_distillery(*arguments, cwd=tmp_path, timeout=timeout)

    return run
