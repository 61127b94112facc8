"""What keeps a server within its memory, and strangers out: sizes of bodies, time to send them, and the key.

Bodies are read piece by piece, and counted one by one and all together, from the first byte to the answer: so the memory that
requests hold is bounded, however many come and however large they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from distillery.filters.errors import InputError, one_line

MIB = 2**20
BODY_BYTES = 8 * MIB  # of one request
BODIES_BYTES = 64 * MIB  # of all requests that are not answered yet
BODY_SECONDS = 30.0  # for a whole body to come in
KEY_CHARACTERS = 16  # a key has more
KEYS_BYTES = 64 * 2**10

Receive = Callable[[], Awaitable[Any]]


class Refused(Exception):
    """A request that is not served.

    Args:
        status: the HTTP status.
        what: the fault, in one line.
        where: the place at fault; empty where there is none.
        hint: how to mend it.
        again: seconds after which to try again; 0 for no such advice.

    Attributes:
        status: the HTTP status.
        what: the fault.
        where: the place at fault.
        hint: how to mend it.
        again: seconds after which to try again.
    """

    def __init__(self, status: int, what: str, *, where: str = "", hint: str = "", again: int = 0) -> None:
        self.status, self.again = status, again
        self.what, self.where, self.hint = one_line(what), one_line(where), one_line(hint)
        super().__init__(self.what)


class Gone(Exception):
    """The client has closed the connection."""


class Bodies:
    """Reads bodies of requests, within limits.

    Args:
        each: bytes of one body.
        all_together: bytes of all that are held.
        seconds: for one body to come in.
    """

    def __init__(self, each: int = BODY_BYTES, all_together: int = BODIES_BYTES, seconds: float = BODY_SECONDS) -> None:
        self.each, self.all_together, self.seconds = each, max(each, all_together), seconds
        self.held = 0

    @asynccontextmanager
    async def read(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[bytes]:
        """Read a body, and hold it until the block is left.

        Args:
            headers: of the request.
            receive: gives the next ASGI message.

        Yields:
            The body.

        Raises:
            Refused: 413 where it is too large, 429 where all together are, 408 where it comes too slowly.
            Gone: the client has closed the connection.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.each:
            raise self._too_large()
        body, reserved = bytearray(), 0
        try:
            async with asyncio.timeout(self.seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    piece, more = message.get("body", b""), message.get("more_body", False)
                    if len(body) + len(piece) > self.each:
                        raise self._too_large()
                    if self.held + len(piece) > self.all_together:
                        hint = "send fewer requests at a time"
                        raise Refused(429, "too many bytes of requests are in work", hint=hint, again=1)
                    self.held, reserved = self.held + len(piece), reserved + len(piece)
                    body += piece
            whole = bytes(body)
            del body
            yield whole
        except TimeoutError:
            what = f"the body did not come within {self.seconds:g} s"
            raise Refused(408, what, hint="send it at once") from None
        finally:
            self.held -= reserved

    def _too_large(self) -> Refused:
        hint = "send fewer articles in a request"
        return Refused(413, f"the body is larger than {self.each / MIB:g} MiB", hint=hint)


class ApiKeys:
    """The keys that a server accepts: one a line of a file, so that an old and a new one can be valid together.

    The file is read again when it changes.

    Args:
        path: the file; None for a server that asks for no key.

    Raises:
        InputError: the file can't be read, or holds no key or one that is too short.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self._seen, self._digests = path, (0, 0, 0), list[bytes]()
        if path is not None:
            self._load(path)

    def require(self, headers: Mapping[str, str]) -> None:
        """Raise unless a request has one of the keys.

        Args:
            headers: of the request: `Authorization: Bearer …` or `X-API-Key: …`.

        Raises:
            Refused: 401, with no word on what is wrong with the key.
        """
        if self.path is None:
            return
        with suppress(InputError):  # replaced at this moment, or gone: the keys that were valid stay so
            self._load(self.path)
        scheme, _, word = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key", word.strip() if scheme.lower() == "bearer" else "")
        digest = _digest(given)
        # All of them, so that the time says nothing about which.
        same = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(same):
            raise Refused(401, "a valid API key is needed", hint="send it as Authorization: Bearer KEY")

    def _load(self, path: Path) -> None:
        where = str(path)
        try:
            status = path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return
            with path.open("rb") as file:
                lines = file.read(KEYS_BYTES).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InputError(f"the API keys can't be read: {reason}", where=where, hint="one key a line") from None
        keys = [line.strip() for line in lines if line.strip()]
        if not keys or min(map(len, keys)) < KEY_CHARACTERS:
            what = "has no key" if not keys else f"has a key of less than {KEY_CHARACTERS} characters"
            raise InputError(what, where=where, hint="one key a line, such as the output of `openssl rand -hex 32`")
        self._digests, self._seen = [_digest(key) for key in keys], seen


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
