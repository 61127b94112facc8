"""Runs the application: listens, cuts slow clients off, and goes down without dropping a request.

uvicorn speaks HTTP. It waits for a request's head for as long as a client likes, and writes to one that reads nothing for as
long as it stays: `Patient` ends both. A signal ends it as Kubernetes expects: no new connections, what is in flight is
answered, exit code 0.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from distillery.filters.errors import InputError

HEAD_SECONDS = 10.0  # for the head of a request to come in
CLOSING_SECONDS = 10.0  # for a client to read the end of an answer
KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep a connection, so that they close it first
CONNECTIONS = 1024
GRACE_SECONDS = 30
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Patient(H11Protocol):
    """Wait for a client, but not forever."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head.

        Args:
            transport: the connection.
        """
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; a head that has come is waited for no longer.

        Args:
            data: what came.
        """
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection.

        Args:
            exc: why it was lost.
        """
        self._stop()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is idle; one that doesn't read the end of an answer is cut."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(CLOSING_SECONDS, self.transport.abort)

    def _watch(self) -> None:
        waits = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not waits:
            self._stop()
        elif self._overdue is None:
            self._overdue = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class Server(uvicorn.Server):
    """A server that a signal ends with exit code 0.

    Args:
        config: uvicorn's.
        listening: called once requests are taken and signals are heeded.
    """

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so.

        Args:
            sockets: bound ones.
        """
        await super().startup(sockets)
        self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let a signal begin the end; uvicorn would raise it again afterwards.

        Yields:
            Nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # of a program that ends it by `should_exit`
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bound(host: str, port: int) -> socket.socket:
    """Bind an address, before anything is loaded.

    Args:
        host: address or name.
        port: port; 0 for any that is free.

    Returns:
        The socket.

    Raises:
        InputError: it can't be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        what = f"can't listen there: {(error.strerror or str(error)).lower()}"
        raise InputError(what, where=f"--host {host} --port {port}", hint="choose another port or address") from None
    return opened


def address_of(opened: socket.socket) -> str:
    """Return where a socket listens.

    Args:
        opened: the socket.

    Returns:
        An http address.
    """
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: Any,
    opened: socket.socket,
    *,
    grace: int = GRACE_SECONDS,
    listening: Callable[[Server], None] = lambda server: None,
) -> None:
    """Serve until a signal comes, then answer what is in flight.

    Args:
        app: the ASGI application.
        opened: a bound socket.
        grace: seconds that requests in flight have to finish.
        listening: told of the server once it takes requests; `should_exit` ends it as a signal does.
    """
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
    )
    server = Server(config, lambda: listening(server))
    server.run(sockets=[opened])
