"""An oracle is reached or not, over real sockets: no connection, or any answer, with the proxies that calls go through."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from distillery.components.labeling.oracles import connections, vertex_batch
from distillery.components.labeling.oracles.reach import require_oracle
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import HttpRequest, HttpResponse, Server

Asking = Callable[..., Filter]
NOWHERE = "no-such-host.invalid"
PROVIDERS = {
    "openai": {},
    "openai-batch": {},
    "vertex": {"project": "news"},
    "vertex-batch": {"project": "news", "batchPrefix": "gs://bucket/labels"},
}


class Answers(Server):
    """Whatever is asked, it answers with one status; `asked` are the targets of the requests."""

    def __init__(self, status: int = 404) -> None:
        super().__init__()
        self.status = status

    async def answer(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(self.status, {"error": {"message": "no"}})


@contextmanager
def socket_that(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a socket where `serve` gets each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            held = []
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                held.append(connection)
                serve(connection)

        Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(autouse=True)
def no_proxies(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=PROVIDERS)
def flt_at(request: pytest.FixtureRequest, asking: Asking) -> Callable[[str], Filter]:
    given = PROVIDERS[request.param]
    return lambda address: asking(provider=request.param, baseUrl=address, apiKeyEnv="ORACLE_API_KEY", **given)


def test_a_port_where_nobody_listens(flt_at: Callable[[str], Filter]) -> None:
    with pytest.raises(Stopped, match=r"127\.0\.0\.1.* can't be reached: Connect.*; check oracle\.baseUrl.*HTTPS_PROXY"):
        require_oracle(flt_at(f"http://127.0.0.1:{closed_port()}"))


def test_a_name_that_nobody_knows(flt_at: Callable[[str], Filter]) -> None:
    with pytest.raises(Stopped, match=f"{NOWHERE}.* can't be reached"):
        require_oracle(flt_at(f"http://{NOWHERE}"))


@pytest.mark.parametrize(
    "provider", ["openai", "openai-batch", "vertex"]
)  # the batch client's library does not tell it from a lost answer
def test_a_service_that_does_not_speak_tls(provider: str, asking: Asking) -> None:
    with Answers() as server:
        address = server.origin.replace("http://", "https://")
        flt = asking(provider=provider, baseUrl=address, apiKeyEnv="ORACLE_API_KEY", **PROVIDERS[provider])
        with pytest.raises(Stopped, match="can't be reached"):
            require_oracle(flt)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 500, 503])
def test_any_answer_is_one(status: int, flt_at: Callable[[str], Filter]) -> None:
    with Answers(status) as server:
        require_oracle(flt_at(server.origin))
    [asked] = server.requests
    assert asked.method == "GET"
    assert "authorization" not in asked.headers, "no key is sent"


def test_a_connection_without_an_answer_is_one(flt_at: Callable[[str], Filter], monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (connections, vertex_batch):
        monkeypatch.setattr(room, "REACH_SECONDS", 0.3)
    with socket_that(lambda connection: None) as address:
        require_oracle(flt_at(address))
    with socket_that(lambda connection: connection.close()) as address:
        require_oracle(flt_at(address))
    with socket_that(lambda connection: connection.send(b"220 mail.example ready\r\n")) as address:  # type: ignore[arg-type, return-value]
        require_oracle(flt_at(address))


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_where_calls_go_through_one(
    variable: str, flt_at: Callable[[str], Filter], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Answers() as proxy:
        monkeypatch.setenv(variable, proxy.origin)
        require_oracle(flt_at(f"http://{NOWHERE}"))
        assert NOWHERE in proxy.requests[-1].path
        monkeypatch.setenv("NO_PROXY", NOWHERE)
        with pytest.raises(Stopped, match="can't be reached"):
            require_oracle(flt_at(f"http://{NOWHERE}"))
    monkeypatch.delenv("NO_PROXY")
    with pytest.raises(Stopped, match="can't be reached"):
        require_oracle(flt_at(f"http://{NOWHERE}"))


def test_a_missing_key_is_told_without_a_connection(flt_at: Callable[[str], Filter], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORACLE_API_KEY")
    with Answers() as server:
        with pytest.raises(InputError, match="ORACLE_API_KEY: is not set"):
            require_oracle(flt_at(server.origin))
        assert server.requests == []
