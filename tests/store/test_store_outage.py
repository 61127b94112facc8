"""An S3 server that goes away for a while, breaks replies off, or is busy: ridden through, within bounds."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distillery.components.remote import retry as outage
from distillery.components.remote.retry import is_outage, retry
from distillery.components.store import Conflict, NotFound, Store, StoreError, open_store
from distillery.components.store import s3_objects as objects_s3
from distillery.components.store.s3_objects import S3Objects


class Gateway:
    """A TCP relay before the S3 server; `down` closes its door and cuts its connections, `cut` lets a reply break off."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("http://").split(":")
        self.target, self.cut_after = (host, int(port)), -1
        self.open: set[socket.socket] = set()
        self.door: socket.socket | None = None
        self.port = 0
        self.up()

    def up(self) -> None:
        self.door = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.door,), daemon=True).start()

    def down(self) -> None:
        if self.door:
            self.door.shutdown(socket.SHUT_RDWR)
            self.door.close()
            self.door = None
        for end in list(self.open):
            end.close()

    def _serve(self, door: socket.socket) -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            self.open |= {client, server}
            for source, to, counted in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._relay, args=(source, to, counted), daemon=True).start()

    def _relay(self, source: socket.socket, to: socket.socket, reply: bool) -> None:
        try:
            while data := source.recv(65536):
                if reply and self.cut_after >= 0:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        break
                to.sendall(data)
        except OSError:
            pass
        for end in (source, to):
            self.open.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def gateway(s3_server: str, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    relay = Gateway(s3_server.replace("localhost", "127.0.0.1").replace("0.0.0.0", "127.0.0.1"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{relay.port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield relay
    relay.down()


@pytest.fixture
def objects(gateway: Gateway, s3_uri: str) -> S3Objects:
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    return S3Objects(bucket, prefix, write=True)


def away(gateway: Gateway, seconds: float, work: Callable[[], object]) -> float:
    """Runs `work` while the gateway is down for `seconds`; how long it took."""
    gateway.down()
    timer = threading.Timer(seconds, gateway.up)
    timer.start()
    began = time.monotonic()
    try:
        work()
    finally:
        timer.join()
    return time.monotonic() - began


OPERATIONS: dict[str, Callable[[Store, Path], object]] = {
    "get": lambda store, _: store.get("there"),
    "exists": lambda store, _: store.exists("there"),
    "absent": lambda store, _: store.current("absent"),
    "put": lambda store, _: store.put("new", b"1"),
    "put a file": lambda store, folder: store.put("new", _file(folder)),
    "put_if": lambda store, _: store.put_if("new", b"1", etag=None),
    "keys": lambda store, _: list(store.keys()),
}


def _file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"x" * 1000)
    return folder / "file"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_outage_is_ridden_through(gateway: Gateway, objects: S3Objects, tmp_path: Path, name: str) -> None:
    store = Store(objects)
    store.put("there", b"bytes")
    took = away(gateway, 0.4, lambda: OPERATIONS[name](store, tmp_path))
    assert 0.3 < took < 15
    assert store.get("there") == b"bytes"


def test_a_conflict_is_still_one_after_an_outage(gateway: Gateway, objects: S3Objects) -> None:
    store = Store(objects)
    store.put_if("new", b"theirs", etag=None)

    def ours() -> None:
        with pytest.raises(Conflict):
            store.put_if("new", b"ours", etag=None)

    away(gateway, 0.7, ours)
    assert store.get("new") == b"theirs"


def test_a_stream_goes_on_where_it_broke_off(gateway: Gateway, objects: S3Objects) -> None:
    data = bytes(range(256)) * 4000
    objects.put("big", data)
    stream = objects.file("big", window=100_000)
    first = stream.read(150_000)
    rest: list[bytes] = []

    def go_on() -> None:
        while piece := stream.read(70_000):
            rest.append(piece)

    away(gateway, 0.7, go_on)
    assert first is not None
    assert first + b"".join(rest) == data


def test_a_reply_that_breaks_off_is_fetched_again(gateway: Gateway, objects: S3Objects) -> None:
    objects.put("big", b"x" * 3_000_000)
    gateway.cut_after = 1_000_000
    with objects.open("big") as stream:
        cut = iter([0.3])

        def hint() -> None:
            time.sleep(next(cut))
            gateway.cut_after = -1

        thread = threading.Thread(target=hint)
        thread.start()
        assert stream.read() == b"x" * 3_000_000
        thread.join()


def test_seeking_reads_what_lies_there(objects: S3Objects) -> None:
    data = bytes(range(256)) * 100
    objects.put("f", data)
    stream = objects.file("f", window=300)
    for at, size in ((0, 10), (25_000, 600), (299, 3), (25_590, 100), (30_000, 5)):
        stream.seek(at)
        found = b""
        while piece := stream.read(size - len(found)):
            found += piece
        assert found == data[at : at + size]
    assert stream.seek(-6, 2) == len(data) - 6


def test_an_object_changed_while_it_is_read_is_noticed(objects: S3Objects) -> None:
    objects.put("f", b"a" * 1000)
    stream = objects.file("f", window=100)
    stream.read(50)
    objects.put("f", b"b" * 1000)
    with pytest.raises(StoreError, match="was changed while it was read"):
        list(iter(lambda: stream.read(100), b""))
    with pytest.raises(StoreError, match="was changed"):
        objects.file("f", etag='"0123"')
    with pytest.raises(NotFound):
        objects.file("none")


def test_patience_ends(gateway: Gateway, objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_patience", 1.0)
    gateway.down()
    began = time.monotonic()
    with pytest.raises(StoreError, match="can't be reached") as caught:
        objects.versioned("there", None)
    assert 0.5 < time.monotonic() - began < 10
    assert is_outage(caught.value.__cause__)  # type: ignore[arg-type]


@pytest.mark.parametrize("below", [False, True])
def test_who_comes_again_anyway_waits_no_longer_than_it_says(gateway: Gateway, s3_uri: str, *, below: bool) -> None:
    store = open_store(s3_uri, patience=0.5)
    asked = store.below("a") if below else store
    gateway.down()
    began = time.monotonic()
    with pytest.raises(StoreError, match="can't be reached"):
        asked.get("there")
    assert 0.3 < time.monotonic() - began < 5


def test_the_first_contact_is_brief_but_in_a_pod(gateway: Gateway, s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    monkeypatch.setattr(objects_s3, "FIRST_CONTACT", 0.3)
    gateway.down()
    with pytest.raises(StoreError, match="can't be reached"):
        S3Objects(bucket, prefix, write=True)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert away(gateway, 1.0, lambda: S3Objects(bucket, prefix, write=True)) > 0.9


def test_what_time_cannot_mend_is_raised_at_once() -> None:
    calls: list[int] = []

    def refused() -> None:
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        retry("it", refused)
    assert len(calls) == 1


class ApiError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("status", "waits"), [(0, True), (429, True), (500, True), (503, True), (403, False), (404, False), (409, False)]
)
def test_which_answers_of_an_api_are_an_outage(status: int, waits: bool) -> None:
    assert is_outage(ApiError(status)) == waits


def test_an_outage_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(outage, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(outage, "TELL_AFTER", 0.02)
    left = iter(range(12))

    def away_twelve_times() -> str:
        if next(left, None) is not None:
            raise ConnectionResetError
        return "there"

    assert retry("s3://bucket", away_twelve_times) == "there"
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" (")[0] for line in told] == ["s3://bucket can't be reached", told[1]]
    assert "answers again" in told[1]
