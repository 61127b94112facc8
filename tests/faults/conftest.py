"""The kept store, unpacked once for all tests of a process, and the store on an S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.commands import copied, unpack
from tests.store.conftest import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("kept") / "folder")


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Iterator[Path]:
    with copied(kept, tmp_path / "folder") as copy:
        yield copy
