"""The kept store, unpacked once for all tests of a process, and the store on an S3 server, with a proxy before it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import botocore.endpoint
import pytest

from distillery.components.remote import retry
from distillery.components.store import Store, open_store
from tests.faults.commands import copied, unpack
from tests.faults.s3_proxy import Proxy, proxy
from tests.store.conftest import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]


@pytest.fixture(scope="session", autouse=True)
def cache_of_torch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give torch a place for its compiler's cache; else it makes one in TMPDIR once a process, in whichever test is first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("kept") / "folder")


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Iterator[Path]:
    with copied(kept, tmp_path / "folder") as copy:
        yield copy


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between two tries are short."""
    monkeypatch.setattr(retry, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: time.sleep(0.01)))


def again(key: str) -> bool:
    """True for what isn't in `stored` at the start, so that there is work to do; training is spared."""
    return key.startswith(("labels/", "steps/")) and not key.startswith("steps/train/")


@pytest.fixture
def stored(folder: Path, s3_uri: str, soon: None) -> Store:
    """The kept store on the server, reached without the proxy."""
    store, here = open_store(s3_uri), open_store(str(folder / "store"))
    for key in here.keys(""):
        if not again(key):
            store.put(key, here.get(key))
    return store


@pytest.fixture
def before(s3_server: str, s3_uri: str, soon: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server, which commands then talk to."""
    with proxy(s3_server) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running
