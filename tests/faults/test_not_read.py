"""What can't be read for now is not taken for torn or gone: nothing is written as if it were, and the same command goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from distillery.components.benchmarking import incumbent
from distillery.components.benchmarking.incumbent import compare_with
from distillery.components.store import NotFound, StoreError, not_read, open_store
from distillery.components.store.layout import candidate_key, channel_key
from distillery.filters.loading import load_filter
from tests.faults.commands import WAITING, run
from tests.faults.disk import ERRORS, Disk, failing


@contextmanager
def unreadable(path: Path, error: str) -> Iterator[None]:
    """Let the file be opened in vain, once."""
    with failing(Disk(path, "open", 1, ERRORS[error])) as disk:
        yield
    assert disk.failed


@pytest.mark.parametrize("error", ERRORS)
def test_a_candidate_that_cannot_be_read_is_not_lost(folder: Path, error: str) -> None:
    """In a store of the first layout, where it lies beside the channel; the first move takes it along."""
    channel = folder / "store" / channel_key("village-gain", "production")
    before = channel.read_bytes()
    with unreadable(folder / "store" / candidate_key("village-gain", "production"), error):
        ran = run("rollback", folder)
    assert ran.code == 2, ran.out
    (line,) = ran.errors
    assert "candidate.json: can't be read: " in line
    assert "; " in line
    assert channel.read_bytes() == before
    assert run("rollback", folder).code == 0
    assert [each["adapter"][:12] for each in json.loads(channel.read_text())["candidates"]] == [WAITING]


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b"{}"])
def test_one_that_is_torn_holds_up_no_rollback(folder: Path, torn: bytes) -> None:
    (folder / "store" / candidate_key("village-gain", "production")).write_bytes(torn)
    assert run("rollback", folder).code == 0


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_a_base_model_that_cannot_be_read_is_told_with_what_to_do(folder: Path, name: str, error: str) -> None:
    shutil.rmtree(folder / "cache")
    assert run("rollback", folder).code == 0
    with failing(Disk(folder / "cache", "open")) as disk:
        assert run("benchmark", folder).code == 0
    (path,) = (folder / "cache").rglob(name)
    seen = 0
    for at in range(1, disk.seen["open"] + 1):
        with failing(Disk(path, "open", at, ERRORS[error])) as once:
            ran = run("rollback --to 4bbd883ec4ec {0}/filter.yaml", folder)
        if not once.failed:
            break
        seen += 1
        assert ran.code == 2, ran.err
        (line,) = ran.errors
        assert os.strerror(ERRORS[error]) in line, line
        assert "; " in line, line
    assert seen


def caused(cause: Exception) -> StoreError:
    error = StoreError("can't be read", where="x")
    error.__cause__ = cause
    if isinstance(cause, NotFound):
        cause.__cause__ = FileNotFoundError(errno.ENOENT, "No such file or directory")
    return error


AWAY = [
    OSError(errno.EIO, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied"),
    EndpointConnectionError(endpoint_url="http://host"),
    ClientError({"Error": {"Code": "ExpiredToken"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "GetObject"),  # type: ignore[typeddict-item]
]
TORN = [ValueError("no JSON"), IsADirectoryError(errno.EISDIR, "Is a directory"), NotFound("x"), None]


@pytest.mark.parametrize("where", ["about_bundle", "load_split"])
@pytest.mark.parametrize("cause", AWAY, ids=lambda cause: type(cause).__name__)
def test_an_incumbent_that_cannot_be_read_is_no_finding_about_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, cause: Exception
) -> None:
    """A benchmark is kept for good: one without its incumbent would be reused when the disk is well again."""
    compared(monkeypatch, where, caused(cause))
    with pytest.raises(StoreError):
        compare_with(open_store(str(folder / "store")), load_filter(str(folder / "filter.yaml")), "0" * 64, "", pa.table({}))


@pytest.mark.parametrize("cause", TORN, ids=lambda cause: type(cause).__name__)
def test_one_that_is_torn_is(folder: Path, monkeypatch: pytest.MonkeyPatch, cause: Exception | None) -> None:
    error = caused(cause) if cause else StoreError("is torn", where="x")
    assert not not_read(error)
    compared(monkeypatch, "about_bundle", error)
    found = compare_with(
        open_store(str(folder / "store")), load_filter(str(folder / "filter.yaml")), "0" * 64, "", pa.table({})
    )
    assert found is not None
    assert found.predictions is None


def compared(monkeypatch: pytest.MonkeyPatch, where: str, error: StoreError) -> None:
    """Let one of the two things that a comparison reads fail, and the other be there."""

    class Anything:
        def __getattr__(self, name: str) -> object:
            return self

        def __getitem__(self, name: str) -> object:
            return self

    def fails(*_: object, **__: object) -> None:
        raise error

    for name in ("about_bundle", "predict", "read_predictions", "aligned", "load_split"):
        monkeypatch.setattr(incumbent, name, fails if name == where else lambda *_, **__: Anything())


def test_a_base_model_whose_size_cannot_be_read_is_told_in_the_report(folder: Path) -> None:
    config = next((folder / "store" / "models").rglob("config.json"))
    for error in ("EIO", "EACCES"):
        with failing(Disk(config.parent, "open", 1, ERRORS[error])) as disk:
            ran = run("report", folder)
        assert (disk.failed, ran.code) == (True, 0), ran.err
        assert "not readable: size of made-up/tiny-bert" in ran.err
        assert "Not readable" in (folder / "report.html").read_text()
    shutil.rmtree(config.parents[1])
    ran = run("report", folder)
    assert (ran.code, "not readable" in ran.err) == (0, False), "what is not at hand is no fault"
