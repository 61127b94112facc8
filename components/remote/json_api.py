"""JSON over HTTP for servers that follow us, such as registries."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import Request

from distillery.components.remote.sending import NotSent, send
from distillery.filters.strict_json import loads

TRIES: Final = 3
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
        request = Request(url, data, headers, method=method)
        try:
            return self._object(send(request, tries=TRIES, pauses=PAUSES, sleep=self.sleep, most=MOST_BYTES))
        except NotSent as error:
            code = _code(error.body)
            raise ApiError(f"{self.host} {error}" + (f" ({code})" if code else ""), status=error.status, code=code) from None

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
