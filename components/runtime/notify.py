"""Tells a webhook how a run or a scoring ended, or how a Filter object stands, as plain JSON, or as Slack or Teams read it.

Settings of the place where runs end say whom to tell, as with the keys of the store: the address of a webhook is a secret, and
a filter is published. No digest holds any of it. A webhook that is away or refuses is a note in the log, and fails no run.
Its address is in no text, since Slack's and Teams' are keys themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request

from distillery.components.remote.sending import NotSent, send
from distillery.components.runtime.progress import Progress
from distillery.filters.errors import one_line

URL, FORM, KEY, KEY_FILE, LINK = (
    f"DISTILLERY_NOTIFY_{name}" for name in ("URL", "FORM", "KEY", "KEY_FILE", "LINK")
)  # LINK: address of a report for people, in which {run} is the run's name
FORMS: Final = ("json", "slack", "teams")
TRIES: Final = 5
PAUSES: Final = 1.0, 20.0  # between two, at first and at most
SCORED: Final = "scoring.ended"
SIGNATURE, SIGNED_AT = "X-Distillery-Signature", "X-Distillery-Timestamp"


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        filter: its name; "" where the run stopped before it was read.
        run: name of the run.
        verdict: promoted, held, approve, passed, reject, failed …
        sentence: the same for people.
        adapter: digest of the adapter; "" where there is none.
        report: address of the report, or of the scores.
        event: what is told of: run.ended, scoring.ended, or filter. and a word of the operator's.
    """

    filter: str
    run: str
    verdict: str
    sentence: str
    adapter: str
    report: str
    event: str = "run.ended"


class _Refused(Exception):
    """Why nothing is sent to a webhook, without its address."""


def tell(
    ended: Ended,
    progress: Progress,
    settings: Mapping[str, str] = os.environ,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
    tries: int = TRIES,
) -> bool:
    """Tell the webhook that the settings name, if they name one. It raises nothing.

    Args:
        ended: how the run ended.
        progress: told, without the address, where the webhook was not reached.
        settings: the environment.
        sleep: waits between two tries.
        now: seconds since 1970, which are signed.
        tries: before it is given up.

    Returns:
        Whether the webhook took it.
    """
    url = settings.get(URL, "").strip()
    if not url:
        return False
    host = "its host"
    try:
        host = _host(url)
        body = json.dumps(message(ended, settings), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **_signed(body, _key(settings), now)}
        send(Request(url, body, headers, method="POST"), tries=tries, pauses=PAUSES, sleep=sleep)
    except Exception as error:
        known = error if isinstance(error, (_Refused, NotSent)) else type(error).__name__
        progress.note(one_line(f"nobody was notified: the webhook at {host} {known}"))
        return False
    progress.note(f"notified {host}")
    return True


def message(ended: Ended, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what is sent.

    Args:
        ended: how the run ended.
        settings: the environment.

    Returns:
        JSON values in the form that the settings name.
    """
    form = settings.get(FORM, "").strip().lower() or "json"
    if form not in FORMS:
        raise _Refused(f"has no form {form[:20]!r}: {FORM} is one of {', '.join(FORMS)}")
    scores, link = ended.event == SCORED, ended.report
    if ended.run and not scores:
        link = settings.get(LINK, "").strip().replace("{run}", ended.run) or link
    text = f"{ended.filter}: {ended.sentence}" if ended.filter else ended.sentence
    if form == "json":
        return {"event": ended.event, **ended._asdict(), "text": text, "report": link}
    what = "scores" if scores else "report"
    if not link:
        link = "none"
    web = link.startswith(("http://", "https://"))
    if form == "slack":
        safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": f"{safe}\n<{link}|{what}>" if web else f"{safe}\n{what}: {link}"}
    body = [{"type": "TextBlock", "text": text, "wrap": True}]
    actions = [{"type": "Action.OpenUrl", "title": what.capitalize(), "url": link}] if web else []
    if not web:
        body.append({"type": "TextBlock", "text": f"{what}: {link}", "wrap": True})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}],
    }


def signature(key: bytes, at: str, body: bytes) -> str:
    """Return what a receiver compares, so that it knows who sent a message, and that it is not an old one sent again.

    Args:
        key: that both know.
        at: the timestamp's header.
        body: as sent.

    Returns:
        "sha256=" and the HMAC-SHA256 of timestamp, a dot and body, in hexadecimal digits.
    """
    return f"sha256={hmac.new(key, at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def _host(url: str) -> str:
    """Return the host of an address, which alone may be told."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise _Refused(f"has no http address: mend {URL}")
    return host


def _key(settings: Mapping[str, str]) -> bytes:
    if path := settings.get(KEY_FILE, ""):
        try:
            return Path(path).read_bytes().strip()
        except OSError as error:
            raise _Refused(f"is told nothing unsigned: {KEY_FILE} can't be read ({error.strerror})") from None
    return settings.get(KEY, "").strip().encode()


def _signed(body: bytes, key: bytes, now: Callable[[], float]) -> dict[str, str]:
    at = str(int(now()))
    return {SIGNED_AT: at, SIGNATURE: signature(key, at, body)} if key else {}
