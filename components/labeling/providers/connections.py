"""A connection for each call under way, instead of one pool that looks through all of them at every call.

The pool of httpx asks every idle connection whether it still lives, at each request and each reply: with 64 of them that is
half of a call's processor time, and grows with their number. Here a call takes the connection that was let go of last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.request import getproxies


class OneEach:
    """A transport for httpx.AsyncClient. make: gives a transport for one connection. Replies are read whole."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._free: list[Any] = []
        self._all: list[Any] = []

    async def handle_async_request(self, request: Any) -> Any:
        if self._free:
            transport = self._free.pop()
        else:
            transport = self._make()
            self._all.append(transport)
        try:
            response = await transport.handle_async_request(request)
            await response.aread()
            return response
        finally:
            self._free.append(transport)

    async def aclose(self) -> None:
        for transport in self._all:
            await transport.aclose()

    async def __aenter__(self) -> OneEach:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def one_each(httpx: Any) -> Any:
    """A OneEach for this version of httpx; None, which means its pool, where calls go through a proxy."""
    if any(name in getproxies() for name in ("http", "https", "all")):
        return None
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30)
    trust = httpx.create_ssl_context()  # read once: 20 ms
    return OneEach(lambda: httpx.AsyncHTTPTransport(verify=trust, limits=limits))
