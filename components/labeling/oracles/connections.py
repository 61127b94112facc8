"""HTTP/1.1 for oracles: one connection for each call in flight, h11 for the protocol, one write for a request.

At each request and each reply, the pool of httpx asks every idle connection whether it still lives, and it sends head and body
separately, each through three layers: with 64 calls that is more processor time than everything else in a call. Here a call
takes the connection that was released last. The cost is these lines; what they can't do (a proxy) goes through httpx's pool.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final
from urllib.request import getproxies

IDLE_SECONDS: Final = 30.0  # then a connection is not used again: services close theirs after 60 and more
PIECE: Final = 2**16
MAX_REPLY: Final = 64 * 2**20

REACH_SECONDS: Final = 5.0
# Names of the errors of httpx before which nothing was sent.
NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})

Place = tuple[str, str, int]  # scheme, host, port


class Connection:
    """One connection, not to be used again after an error; errors are those of asyncio and h11."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import h11

        self._reader, self._writer = reader, writer
        self._h11, self._state = h11, h11.Connection(h11.CLIENT)
        self._until = 0.0

    @property
    def usable(self) -> bool:
        """True if another request may go out; the service may still close the connection at that very moment."""
        return asyncio.get_running_loop().time() < self._until and not self._reader.at_eof() and not self._writer.is_closing()

    async def exchange(self, request: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Send a request and read its reply.

        Args:
            request: a request of httpx.

        Returns:
            Status, headers, and the whole body.
        """
        h11, state = self._h11, self._state
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        parts = [state.send(head), state.send(h11.Data(await request.aread())), state.send(h11.EndOfMessage())]
        self._writer.write(b"".join(parts))
        await self._writer.drain()
        status, headers, body = 0, [], bytearray()
        while not isinstance(event := state.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                state.receive_data(await self._reader.read(PIECE))
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, list(event.headers)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_REPLY:
                    raise h11.RemoteProtocolError(f"the reply is longer than {MAX_REPLY // 2**20} MB")
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("the connection was closed before the reply")
        if state.our_state is not h11.DONE or state.their_state is not h11.DONE or state.trailing_data[0]:
            self.close()  # the service says so, or has sent what nobody asked for
        else:
            state.start_next_cycle()
            self._until = asyncio.get_running_loop().time() + IDLE_SECONDS
        return status, headers, bytes(body)

    def close(self) -> None:
        """Close the connection."""
        self._until = 0.0
        self._writer.close()


class OneEach:
    """A transport for httpx.AsyncClient that reads replies whole; `httpx` is its module, whose errors are raised."""

    def __init__(self, httpx: Any) -> None:
        self._httpx = httpx
        self._free: dict[Place, list[Connection]] = {}
        self._trust: ssl.SSLContext | None = None

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request over a free connection, or a new one.

        Args:
            request: a request of httpx.

        Returns:
            The response of httpx.
        """
        import h11

        httpx, limits = self._httpx, request.extensions.get("timeout", {})
        connection = await self._connection(request.url, limits.get("connect"))
        try:
            async with asyncio.timeout(limits.get("read")):
                status, headers, body = await connection.exchange(request)
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise httpx.ReadTimeout("no reply in time", request=request) from None
            if isinstance(error, OSError | h11.ProtocolError):
                raise httpx.RemoteProtocolError(str(error), request=request) from None
            raise
        if connection.usable:
            self._free[_place(request.url)].append(connection)
        return httpx.Response(status, headers=headers, content=body, request=request)

    async def _connection(self, url: Any, seconds: float | None) -> Connection:
        place = _place(url)
        free = self._free.setdefault(place, [])
        while free:
            if (connection := free.pop()).usable:
                return connection
            connection.close()
        scheme, host, port = place
        if scheme == "https" and self._trust is None:
            self._trust = self._httpx.create_ssl_context()  # read once: 20 ms
        try:
            async with asyncio.timeout(seconds):
                streams = await asyncio.open_connection(host, port, ssl=self._trust if scheme == "https" else None)
        except TimeoutError:
            raise self._httpx.ConnectTimeout("no connection in time") from None
        except OSError as error:  # of TLS, too
            raise self._httpx.ConnectError(str(error)) from None
        return Connection(*streams)

    async def aclose(self) -> None:
        """Close all free connections."""
        for connections in self._free.values():
            for connection in connections:
                connection.close()
        self._free.clear()

    async def __aenter__(self) -> OneEach:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _place(url: Any) -> Place:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def one_each(httpx: Any) -> Any:
    """Return the transport for a client.

    Args:
        httpx: the module of this version of httpx.

    Returns:
        A OneEach; None, which means httpx's pool, where calls go through a proxy.
    """
    return None if any(name in getproxies() for name in ("http", "https", "all")) else OneEach(httpx)


async def reach(http: Any, address: str) -> str:
    """Ask an address for anything, over the connections and proxies that calls go through, and without a key.

    Args:
        http: the client of httpx that calls are made with.
        address: the service's address.

    Returns:
        Why nothing can be sent; empty where a connection was had, whatever came back.
    """
    try:
        await http.get(address, timeout=REACH_SECONDS)
    except Exception as error:
        if (name := type(error).__name__) in NOT_SENT:
            return f"{name}: {error}".rstrip(": ")
    return ""
