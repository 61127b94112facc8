"""Disks that are full, stores that can't be written, replies that are lost, servers that ignore conditions."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from distillery.components.store import Conflict, Store, StoreError, open_store
from distillery.components.store import s3_objects as objects_s3
from distillery.components.store.s3_objects import S3Objects, make_client


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "can't be written"),
        (errno.EACCES, "can't be written"),
    ],
)
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str) -> None:
    store = open_store(str(tmp_path))
    store.put("a/f", b"old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    for write in (lambda: store.put("a/f", b"new"), lambda: store.put_if("a/g", b"new", etag=None)):
        with pytest.raises(StoreError, match=says):
            write()
    assert store.get("a/f") == b"old"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["f"]


def test_a_disk_that_is_really_full() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    from distillery.components.store.file_objects import FileObjects

    objects = FileObjects(Path("/dev"), write=False)
    with (
        pytest.raises(StoreError, match="disk is full"),
        objects._explained(Path("/dev/full")),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_a_store_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="can't be written"):
        open_store(str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError, match="can't be written"):
        open_store(str(tmp_path / "file"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="can't be written"):
        open_store(str(tmp_path / "store"))


def test_opening_to_read_creates_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none"), write=False)
    assert not store.exists("a")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("uri", ["", "http://host/x", "gs://bucket/x", "file://host/x", "file://relative", "s3://"])
def test_addresses_that_are_no_store(uri: str) -> None:
    with pytest.raises(StoreError):
        open_store(uri)


def test_file_addresses_are_decoded(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/with%20space").put("a", b"1")
    assert (tmp_path / "with space" / "a").read_bytes() == b"1"


def test_a_killed_writer_leaves_old_or_new(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.put_if("pointer", b"0" * 200_000, etag=None)
    code = (
        "import sys; from distillery.components.store import open_store\n"
        "s = open_store(sys.argv[1]); print('up', flush=True); n = 0\n"
        "while True:\n    n += 1; s.put_if('pointer', str(n % 10).encode() * 200_000, etag=s.etag('pointer'))"
    )
    for delay in (0.0, 0.005, 0.02, 0.05):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        data = store.get("pointer")
        assert len(data) == 200_000
        assert len(set(data)) == 1
    store.put_if("pointer", b"after", etag=store.etag("pointer"))  # the dead writer's lock is gone
    assert list(store.keys()) == ["pointer"]


class Faulty:
    """An S3 client one of whose puts goes wrong as `fault` says; everything else passes through."""

    def __init__(self, fault: str) -> None:
        self.client, self.fault, self.puts = make_client(), fault, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_object(self, **request: Any) -> Any:
        if not request["Key"].endswith("pointer"):
            if self.fault == "ignores conditions":
                request = {key: value for key, value in request.items() if not key.startswith("If")}
            return self.client.put_object(**request)
        self.puts += 1
        if self.puts > 1:
            return self.client.put_object(**request)
        if self.fault == "reply lost":
            self.client.put_object(**request)
            raise ConnectionClosedError(endpoint_url="http://s3")
        if self.fault == "request lost":
            raise ConnectionClosedError(endpoint_url="http://s3")
        if self.fault == "412 on own write":
            self.client.put_object(**request)
            return self.client.put_object(**request)
        if self.fault == "409":
            raise ClientError(
                {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": 409}}, "PutObject"
            )  # type: ignore[typeddict-item]
        if self.fault == "503":
            raise ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "PutObject")  # type: ignore[typeddict-item]
        if self.fault == "reply lost, then overwritten":
            self.client.put_object(**request)
            self.client.put_object(Bucket=request["Bucket"], Key=request["Key"], Body=b"another's")
            raise ConnectionClosedError(endpoint_url="http://s3")
        raise AssertionError(self.fault)


def faulty_store(uri: str, fault: str) -> tuple[Store, Faulty]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = Faulty(fault)
    return Store(S3Objects(bucket, prefix, write=True, client=client)), client


@pytest.mark.parametrize(
    ("fault", "puts"), [("reply lost", 1), ("request lost", 2), ("412 on own write", 1), ("409", 2), ("503", 2)]
)
@pytest.mark.parametrize("exists", [False, True])
def test_an_unknown_outcome_is_read_back(s3_uri: str, fault: str, puts: int, exists: bool) -> None:
    store, client = faulty_store(s3_uri, fault)
    if exists:
        open_store(s3_uri).put("pointer", b"old")
    store.put_if("pointer", b"ours", etag=store.etag("pointer"))
    assert store.get("pointer") == b"ours"
    assert client.puts == puts


def test_a_lost_reply_followed_by_anothers_write_is_a_conflict(s3_uri: str) -> None:
    store, _ = faulty_store(s3_uri, "reply lost, then overwritten")
    with pytest.raises(Conflict):
        store.put_if("pointer", b"ours", etag=None)
    assert store.get("pointer") == b"another's"


def test_a_server_that_ignores_conditions_is_noticed(s3_uri: str) -> None:
    store, client = faulty_store(s3_uri, "ignores conditions")
    with pytest.raises(StoreError, match="ignores IfNoneMatch on writes: two promotions could both win"):
        store.put_if("pointer", b"ours", etag=None)
    assert client.puts == 0
    store.put("content-addressed", b"fine")


def test_what_tests_the_server_lies_where_readers_of_datasets_skip_it(s3_uri: str) -> None:
    store = open_store(s3_uri)
    open_store(f"{s3_uri}/scores/x").put_if("part-0.parquet", b"1", etag=None)
    store.put("probe/write", b"of an earlier version")
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    listed = make_client().list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/scores/x")["Contents"]
    names = {each["Key"].removeprefix(f"{prefix}/scores/x/") for each in listed}
    assert names == {"_probe/write", "_probe/conditional-write", "part-0.parquet"}
    assert list(store.keys()) == ["scores/x/part-0.parquet"]


def test_a_bucket_that_is_not_there(s3_uri: str) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        open_store("s3://nobody-made-this/x")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def put_object(self, **_: Any) -> None:
            raise EndpointConnectionError(endpoint_url="http://user:secret@127.0.0.1:1")

    monkeypatch.setattr(objects_s3, "FIRST_CONTACT", 0.3)
    with pytest.raises(StoreError, match="can't be reached") as caught:
        S3Objects("bucket", "x", write=True, client=Gone())
    assert "secret" not in str(caught.value)


def test_importing_the_store_loads_nothing_heavy() -> None:
    code = (
        "import sys, distillery.components.store, distillery.components.articles.articles\n"
        "print(sorted({'boto3', 'numpy', 'pyarrow', 'torch', 'kfp'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
