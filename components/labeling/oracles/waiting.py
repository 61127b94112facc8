"""When a service that refuses wants to be asked again: by its headers, or by its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Final

MAX_RETRY_AFTER: Final = 3600.0
TOLD_WAIT: Final = re.compile(r"""(?i:retryDelay["'\\\s:]{1,12}|(?:retry|try again) in )([0-9]{1,5}(?:\.[0-9]{1,12})?)s\b""")
DAILY: Final = re.compile(r"(?i:per[ _]?day|daily)")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait from `retry-after-ms` or `retry-after` (seconds or a date).

    Args:
        headers: the headers, by name in small letters.

    Returns:
        Seconds, 0 to an hour; None where neither header says so.
    """
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        text = headers.get(name, "")
        try:
            seconds = float(text) / scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(text).timestamp() - time()
            except (ValueError, TypeError):
                continue
        if seconds == seconds:
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
    return None


def told_wait(text: object) -> float | None:
    """Read how long to wait from a refusal's own words: "Please retry in 9.5s", or Google's RetryInfo.

    Args:
        text: the body of the answer.

    Returns:
        Seconds; None where it does not say, or where a day is used up.
    """
    words = str(text)[:20_000]
    found = None if DAILY.search(words) else TOLD_WAIT.search(words)
    return min(float(found[1]), MAX_RETRY_AFTER) if found else None
