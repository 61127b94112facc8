"""Garbage, large bodies, slow clients and strangers are answered or cut, and what others ask is answered meanwhile."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from distillery.components.serving import server as serving
from distillery.components.serving.app import Service
from distillery.components.serving.batching import Batcher
from distillery.components.serving.limits import MIB, ApiKeys, Bodies
from distillery.components.serving.models import Shelf
from distillery.components.store import Store
from distillery.filters.errors import InputError
from tests.serving.made import Client, Running, loaded, running

TEXT = "a village builds a cheap wind turbine"
Serve = Callable[..., Running]


@pytest.fixture
def serve(store: Store) -> Iterator[Serve]:
    """Starts a server with limits of its own."""
    begun: list[Any] = []

    def begin(**more: Any) -> Running:
        service = Service(Shelf({"demo": loaded(store)}), more.pop("batcher", None) or Batcher(wait=0.0), **more)
        context = running(service)
        begun.append(context)
        return context.__enter__()

    yield begin
    for context in begun:
        context.__exit__(None, None, None)


def raw(port: int, data: bytes, *, seconds: float = 10) -> bytes:
    """Send bytes; return what comes until the server closes."""
    with closing(socket.create_connection(("127.0.0.1", port), seconds)) as opened:
        opened.sendall(data)
        return received(opened)


def received(opened: socket.socket) -> bytes:
    got = b""
    try:
        while piece := opened.recv(65536):
            got += piece
    except ConnectionError:
        pass
    return got


BAD: list[tuple[bytes, str]] = [
    (b"", "is not JSON"),
    (b"{", "is not JSON"),
    (b"\xff\xfe", "is not UTF-8"),
    (b"[1]", "is not a JSON object"),
    (b'{"articles": NaN}', "NaN is not JSON"),
    (b'{"articles": [], "articles": []}', "'articles' twice"),
    (b'{"articles": []}', "is not a list of articles"),
    (b'{"articles": {"content": "x"}}', "is not a list of articles"),
    (b'{"articles": [7]}', "is neither a text nor an object"),
    (b'{"articles": ["fine, long enough", {"title": "no content"}]}', "has no content"),
    (b'{"articles": ["x"], "filters": "demo"}', "'filters' is unknown"),
    (b'{"articles": ["x"], "filter": 7}', "is not a name"),
    (json.dumps({"articles": ["text"] * 1001}).encode(), "1,001 articles, more than 1,000"),
    (json.dumps({"articles": ["x" * 1_000_001]}).encode(), "more than 1,000,000"),
]


@pytest.mark.parametrize(("body", "told"), BAD)
def test_a_bad_body_is_one_line(client: Client, body: bytes, told: str) -> None:
    answer = client.ask("POST", "/score", body)
    assert answer.status == 400
    error = answer.json["error"]
    assert set(error) == {"what", "where", "hint"}
    assert told in error["what"]
    assert "\n" not in str(error)


def test_the_article_at_fault_is_named(client: Client) -> None:
    assert client.score(TEXT, {"content": ""}).json["error"]["where"] == "articles[1]"


def test_what_is_not_there_is_told_in_json(client: Client) -> None:
    assert client.ask("GET", "/nowhere").json["error"]["what"] == "there is nothing here"
    wrong = client.ask("GET", "/score")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json["error"]["what"] == "the method is not allowed here"


def mutated(drawn: random.Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(drawn.randint(1, 6)):
        at = drawn.randrange(len(data))
        kind = drawn.randrange(4)
        if kind == 0:
            data[at] = drawn.randrange(256)
        elif kind == 1:
            del data[at : at + drawn.randint(1, 9)]
        elif kind == 2:
            data[at:at] = drawn.choice([b"[", b"{", b'"', b"null", b"\\ud800", b"-1e999", b"\x00", bytes(3)])
        else:
            data[at:at] = data[at : at + drawn.randint(1, 30)]
        data = data or bytearray(b"{")
    return bytes(data)


def garbage(client: Client, service: Service, seeds: range) -> dict[str, int]:
    """Send mutated bodies to both forms; return how many were answered with which status."""
    rows = [TEXT, {"id": "a", "title": "T", "content": TEXT, "published": "2026-01-01"}]
    tensor = {"name": "content", "shape": [1], "datatype": "BYTES", "data": [TEXT]}
    forms = {"/score": {"filter": "demo", "articles": rows}, "/v2/models/demo/infer": {"id": "1", "inputs": [tensor]}}
    statuses = dict[str, int]()
    for seed in seeds:
        drawn = random.Random(seed)
        path = drawn.choice(sorted(forms))
        answer = client.ask("POST", path, mutated(drawn, json.dumps(forms[path]).encode()))
        assert answer.status in (200, 400, 404), (seed, answer)
        assert answer.json
        statuses[str(answer.status)] = statuses.get(str(answer.status), 0) + 1
    assert service.bodies.held == service.batcher.waiting == 0
    return statuses


def test_garbage_is_answered(client: Client, service: Service, record_property: pytest.RecordProperty) -> None:
    record_property("counted", garbage(client, service, range(100)))


@pytest.mark.slow
def test_much_garbage_is_answered(client: Client, service: Service, record_property: pytest.RecordProperty) -> None:
    record_property("counted", garbage(client, service, range(1000, 11000)))


@pytest.mark.parametrize(
    "head", [b"no http at all\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"POST /score HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_refused_and_others_are_answered(server: Running, head: bytes) -> None:
    got = raw(server.port, head + b"\r\n\r\n")
    assert got == b"" or got.startswith(b"HTTP/1.1 4")
    assert server.client().score(TEXT).status == 200


def test_a_head_without_an_end_is_refused(server: Running) -> None:
    got = raw(server.port, b"GET /v2 HTTP/1.1\r\nX-Long: " + b"a" * 200_000)
    assert got == b"" or got.startswith(b"HTTP/1.1 400")


def test_a_body_that_says_it_is_too_large_is_refused_unread(serve: Serve) -> None:
    server = serve(bodies=Bodies(1 * MIB))
    got = raw(server.port, b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 52428800\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413")
    assert b"larger than 1 MiB" in got
    assert b"connection: close" in got.lower()


def test_a_body_of_pieces_is_counted(serve: Serve) -> None:
    server = serve(bodies=Bodies(1 * MIB))
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as opened:
        opened.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(50 * 16):
                opened.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        except (ConnectionError, TimeoutError):
            pass
        got = received(opened)
    assert got == b"" or got.startswith(b"HTTP/1.1 413")
    assert server.client().score(TEXT).status == 200


def test_bodies_are_bounded_all_together(serve: Serve) -> None:
    bodies = Bodies(1 * MIB, 2 * MIB)
    server = serve(bodies=bodies)
    held = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(2)]
    for opened in held:
        opened.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + b" " * 1048575)
    client, deadline = server.client(), time.monotonic() + 10
    while bodies.held < 2 * MIB - 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    answer = client.score(TEXT)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    for opened in held:
        opened.close()
    while (answer := client.score(TEXT)).status == 429 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answer.status == 200


def test_a_slow_body_is_cut(serve: Serve) -> None:
    server = serve(bodies=Bodies(seconds=0.2))
    got = raw(server.port, b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert got.startswith(b"HTTP/1.1 408")
    assert b"did not come within 0.2 s" in got


@pytest.mark.parametrize("begun", [b"", b"POST /sc", b"POST /score HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_cut(server: Running, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    assert raw(server.port, begun) == b""


def test_a_second_head_that_does_not_come_is_cut(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as opened:
        opened.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b""
        while not got.endswith(b"}"):
            got += opened.recv(65536)
        opened.sendall(b"POST /sc")
        assert received(opened) == b""


def test_a_queue_that_is_full_says_when_to_come_again(serve: Serve) -> None:
    class Stuck(Batcher):
        """Counts one article as waiting, which nobody takes."""

        def __init__(self) -> None:
            super().__init__(queued=1)
            self._waiting = 1

    server = serve(batcher=Stuck())
    answer = server.client().score(TEXT)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json["error"]["what"] == "too many articles wait"


KEY = "0123456789abcdef-of-ada"
OTHER = "fedcba9876543210-of-bob"


def test_a_key_is_asked_for_everywhere_but_at_health(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n\n{OTHER}\n")
    client = serve(keys=ApiKeys(file)).client()
    for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}, {"X-API-Key": ""}, {"X-API-Key": "ü"}):
        for method, path in (("POST", "/score"), ("GET", "/v2/models"), ("GET", "/metrics"), ("POST", "/v2/models/demo/infer")):
            answer = client.ask(method, path, {"articles": [TEXT]} if method == "POST" else None, headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert KEY not in answer.body.decode()
        assert client.ask("GET", "/v2/health/ready", None, headers).json == {"ready": True}
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {OTHER}"}, {"X-API-Key": OTHER}):
        assert client.ask("POST", "/score", {"articles": [TEXT]}, headers).status == 200
        assert client.ask("GET", "/v2/health/ready", None, headers).json["models"]


def test_keys_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n")
    keys = ApiKeys(file)
    keys.require({"x-api-key": KEY})
    (tmp_path / "new").write_text(f"{OTHER}\n")
    os.replace(tmp_path / "new", file)
    keys.require({"x-api-key": OTHER})
    with pytest.raises(Exception, match="valid API key"):
        keys.require({"x-api-key": KEY})
    file.unlink()
    keys.require({"x-api-key": OTHER})


@pytest.mark.parametrize("text", ["", "\n \n", "short\n", f"{KEY}\nshort\n"])
def test_a_file_without_good_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(InputError, match=r"has no key|less than 16 characters"):
        ApiKeys(tmp_path / "keys")
