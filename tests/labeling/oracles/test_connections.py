"""The HTTP connections of the oracles, against a server that answers with bytes written by hand."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest

from distillery.components.labeling.oracles import connections
from distillery.components.labeling.oracles.connections import OneEach, one_each

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
Client = httpx.AsyncClient


def served(answers: list[bytes | None], work: Callable[[Client, str], Awaitable[Any]], *, end: bool = False) -> tuple[Any, Any]:
    """What `work` returns, and [connections, requests as received]. answers: in order; None keeps silent.

    end: the server closes each connection behind its answer, without saying so.
    """
    seen: list[Any] = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen[0] += 1
        while head := await reader.read(2**16):
            seen.append(head)
            answer = answers.pop(0)
            if answer is None:
                await reader.read(1)
                break
            writer.write(answer)
            await writer.drain()
            if end or b"HTTP/1.1 4" in answer:
                break
        writer.close()

    async def run() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(transport=cast(Any, OneEach(httpx)), timeout=httpx.Timeout(0.5, connect=0.5)) as client:
            try:
                return await work(client, address)
            finally:
                server.close()

    return asyncio.run(run()), seen


async def twice(client: Client, address: str) -> list[str]:
    found = []
    for _ in range(2):
        found.append((await client.post(f"{address}/a?b=c", json={"x": 1})).text)
        await asyncio.sleep(0.02)
    return found


def test_one_connection_serves_calls_that_follow_each_other_and_a_request_is_one_write() -> None:
    found, [opened, first, *_] = served([OK, OK], twice)
    assert (found, opened) == (["hi", "hi"], 1)
    assert first.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert first.endswith(b'\r\n\r\n{"x":1}')


def test_calls_at_once_have_a_connection_each() -> None:
    async def work(client: Client, address: str) -> None:
        await asyncio.gather(*(client.get(address) for _ in range(5)))

    assert served([OK] * 5, work)[1][0] == 5


@pytest.mark.parametrize("how", ["closed", "said", "old", "too much"])
def test_a_connection_that_may_be_gone_is_not_used_again(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "old":
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    answer = OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") if how == "said" else OK
    answer += OK.replace(b"hi", b"no") if how == "too much" else b""
    found, [opened, *_] = served([answer, answer], twice, end=how == "closed")
    assert (found, opened) == (["hi", "hi"], 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
        % (len(gzip.compress(b"hi", mtime=0)), gzip.compress(b"hi", mtime=0)),
    ],
)
def test_replies_in_other_forms(answer: bytes) -> None:
    assert served([answer, answer], twice)[0] == ["hi", "hi"]


async def once(client: Client, address: str) -> httpx.Response:
    return await client.get(address)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (OK[:-1], httpx.RemoteProtocolError),
        (b"", httpx.RemoteProtocolError),
        (b"SSH-2.0 hello\r\n\r\n", httpx.RemoteProtocolError),
        (None, httpx.ReadTimeout),
    ],
)
def test_what_is_no_reply_is_an_error_of_the_client_library(answer: bytes | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        served([answer], once, end=True)


def test_a_reply_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_REPLY", 1000)
    with pytest.raises(httpx.RemoteProtocolError, match="longer"):
        served([b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000], once)


def test_a_call_that_was_cancelled_leaves_no_connection_behind() -> None:
    async def work(client: Client, address: str) -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(address)
        return (await client.get(address)).text

    found, [opened, *_] = served([None, OK], work)
    assert (found, opened) == ("hi", 2)


def test_an_error_status_is_a_reply() -> None:
    found, _ = served([b"HTTP/1.1 429 Too Many\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n"], once)
    assert (found.status_code, found.headers["retry-after"]) == (429, "3")


def test_nobody_listens_and_no_trust() -> None:
    async def work(client: Client, address: str) -> None:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1")
        with pytest.raises(httpx.ConnectError):  # speaks no TLS
            await client.get(address.replace("http:", "https:"))

    served([OK], work)


def test_certificates_are_checked() -> None:
    trust = httpx.create_ssl_context()
    assert trust.verify_mode == ssl.CERT_REQUIRED
    assert trust.check_hostname


def test_calls_go_through_a_proxy_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(one_each(httpx), OneEach)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert one_each(httpx) is None
