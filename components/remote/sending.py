"""One HTTP request with bounded tries, no redirect, and no address in any text: for servers that are never waited for.

`retry` is for what a run can't go on without, and has patience for minutes.
"""

from __future__ import annotations

import http.client
import random
from collections.abc import Callable
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

SECONDS: Final = 10.0  # of one try
MOST_OF_ERROR: Final = 64 * 1024  # bytes


class NotSent(Exception):
    """What a server answered instead of taking a request, or why it was not reached, as the end of a sentence.

    Attributes:
        status: of HTTP; 0 where no answer came.
        body: of the answer, its beginning.
        pause: seconds that the server asks for before the next try.
    """

    def __init__(self, what: str, *, status: int = 0, body: bytes = b"", pause: float = 0.0) -> None:
        self.status, self.body, self.pause = status, body, pause
        super().__init__(what)

    @property
    def again(self) -> bool:
        """True if the same request may be taken later."""
        return self.status in (0, 429) or self.status >= 500


class _NoRedirects(HTTPRedirectHandler):
    """Follow no redirect: it would carry key and message to another place."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        """Return nothing, so that the answer counts as an error."""


def send(
    request: Request, *, tries: int, pauses: tuple[float, float], sleep: Callable[[float], None], most: int = MOST_OF_ERROR
) -> bytes:
    """Send a request, and again while that may help.

    Args:
        request: what is sent.
        tries: before it is given up.
        pauses: seconds between two tries, at first and at most.
        sleep: waits between two tries.
        most: bytes of the answer that are read.

    Returns:
        The answer.

    Raises:
        NotSent: the server refuses or was not reached.
    """
    least, longest = pauses
    for attempt in range(1, tries + 1):
        try:
            return _once(request, most)
        except NotSent as error:
            if attempt == tries or not error.again:
                raise
            pause = min(longest, least * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
            sleep(max(pause, min(error.pause, longest)))
    raise AssertionError("unreachable")


def _once(request: Request, most: int) -> bytes:
    try:
        with build_opener(_NoRedirects).open(request, timeout=SECONDS) as answer:
            found: bytes = answer.read(most)
            return found
    except HTTPError as error:
        told = error.headers.get("retry-after", "") if error.headers else ""
        with error:
            body = error.read(MOST_OF_ERROR)
        pause = float(told) if told.isdecimal() else 0.0
        raise NotSent(f"answers {error.code}", status=error.code, body=body, pause=pause) from None
    except (URLError, OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, BaseException) else error
        raise NotSent(f"can't be reached ({type(cause).__name__})") from None
