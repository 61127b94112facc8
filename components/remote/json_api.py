"""JSON over HTTP for servers that follow us, such as registries: bounded tries, no redirects, and no key in any text.

`retry` is for what a run can't go on without, and has patience for minutes; these servers are never waited for.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from distillery.filters.strict_json import loads

TRIES: Final = 3
SECONDS: Final = 10.0  # of one try
PAUSES: Final = 0.5, 5.0  # between two, at first and at most
MOST_BYTES: Final = 16 * 2**20


class ApiError(Exception):
    """What a server refused, or why it was not reached; the text names no address but the host.

    Attributes:
        status: of HTTP; 0 where no answer came.
        code: what the server calls it; "" where it says nothing.
    """

    def __init__(self, what: str, *, status: int = 0, code: str = "") -> None:
        self.status, self.code = status, code
        super().__init__(what)


class _NoRedirects(HTTPRedirectHandler):
    """Follow no redirect: it would carry the key to another place."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        """Return nothing, so that the answer counts as an error."""


class JsonApi:
    """A server that answers JSON.

    Args:
        base: its address, http or https; a name and password in it are sent as they would be by a browser.
        headers: sent with each request, such as Authorization.
        sleep: waits between two tries.
    """

    def __init__(self, base: str, headers: Mapping[str, str] = {}, *, sleep: Callable[[float], None] = time.sleep) -> None:
        try:
            parts = urlsplit(base.strip())
            self.host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ApiError("the address is none of http or https") from None
        if parts.scheme not in ("http", "https") or not self.host:
            raise ApiError("the address is none of http or https")
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.base = f"{parts.scheme}://{name}" + (f":{port}" if port else "") + parts.path.rstrip("/")
        self.headers, self.sleep = {"Accept": "application/json", **headers}, sleep
        if parts.username is not None:
            self.headers |= basic(unquote(parts.username), unquote(parts.password or ""))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """Return what the server answers to one request.

        Args:
            method: GET, POST, PATCH …
            path: below the base, quoted where it needs it.
            body: sent as JSON; None for nothing.
            query: parameters, by name.

        Returns:
            The JSON object; empty where the answer is.

        Raises:
            ApiError: the server refuses or was not reached.
        """
        url = f"{self.base}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        headers = {**self.headers, **({} if data is None else {"Content-Type": "application/json"})}
        least, most = PAUSES
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(Request(url, data, headers, method=method))
            except ApiError as error:
                if attempt == TRIES or not (error.status in (0, 429) or error.status >= 500):
                    raise
                self.sleep(min(most, least * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    def _once(self, request: Request) -> dict[str, Any]:
        try:
            with build_opener(_NoRedirects).open(request, timeout=SECONDS) as answer:
                return self._object(answer.read(MOST_BYTES))
        except HTTPError as error:
            with error:
                code = _code(error.read(64 * 1024))
            raise ApiError(
                f"{self.host} answers {error.code}" + (f" ({code})" if code else ""), status=error.code, code=code
            ) from None
        except (URLError, OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, BaseException) else error
            raise ApiError(f"{self.host} can't be reached ({type(cause).__name__})") from None

    def _object(self, data: bytes) -> dict[str, Any]:
        if not data.strip():
            return {}
        try:
            found = loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ApiError(f"{self.host} answers what is no JSON object: is its address right?", status=200)
        return found


def _code(data: bytes) -> str:
    """Return the word by which a server names an error; its sentence may repeat what was sent."""
    try:
        found = loads(data)
    except (ValueError, RecursionError):
        return ""
    code = found.get("error_code") or found.get("code") if isinstance(found, dict) else ""
    return code if isinstance(code, str) and code.replace("_", "").isalnum() and len(code) < 64 else ""


def basic(name: str, password: str) -> dict[str, str]:
    """Return the header that a name and a password are sent in.

    Args:
        name: of the user.
        password: theirs.

    Returns:
        The header.
    """
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def segment(text: str) -> str:
    """Return text as one segment of a path.

    Args:
        text: any.

    Returns:
        The same, quoted.
    """
    return quote(text, safe="")
