"""An HTTP proxy before an S3 server that goes wrong as a script says: a list of rules, each for some requests."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What S3 answers, and with which status.
CODES = {
    "SlowDown": 503,
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted", "InvalidBucketState", "UnheardOf"), 409),
    **dict.fromkeys(("AccessDenied", "RequestTimeTooSkewed", "InvalidAccessKeyId", "SignatureDoesNotMatch"), 403),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"), 400),
    **{"NoSuchBucket": 404, "PermanentRedirect": 301},
}


@dataclass
class Rule:
    """Requests that go wrong.

    Attributes:
        do: a code of CODES: answered, not forwarded. "stall": late. "lost": done, and not answered. "cut": not even done.
            "unheeded": done whatever its condition. "raced": after another's write to the same key. "stale": a listing
            without new keys.
        method: of the requests, a pattern.
        path: pattern that is found in path and query.
        share: of those requests, by a seeded draw.
        first: number of the first request that goes wrong, from 1.
        times: how many go wrong.
        probes: True for requests to the probe of a new store, too.
        fired: requests that went wrong; of listings, those that had something to hide.
    """

    do: str
    method: str = "PUT"
    path: str = ""
    share: float = 1.0
    first: int = 1
    times: int = 10**9
    probes: bool = False
    seen: int = field(default=0, init=False)
    fired: int = field(default=0, init=False)

    def takes(self, method: str, path: str, rng: random.Random) -> bool:
        of_those = re.fullmatch(self.method, method) and re.search(self.path, path) and (self.probes or "_probe" not in path)
        if not of_those or rng.random() >= self.share:
            return False
        self.seen += 1
        return self.first <= self.seen < self.first + self.times


class Proxy:
    """Relays to `target`, "http://host:port", by rules."""

    def __init__(self, target: str, seed: int = 1, stall: float = 0.2, hides: float = 3600.0) -> None:
        self.target = target.removeprefix("http://").replace("0.0.0.0", "127.0.0.1")
        self._rules: list[Rule] = []
        self._ended: list[Rule] = []
        self.stall, self.hides = stall, hides
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._one = threading.Lock()  # moto looks at a condition and writes in two steps; S3 does both in one
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _serve(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def follow(self, *rules: Rule, seed: int = 1) -> None:
        """Let requests go wrong by these rules, from the first on."""
        self._rules += [replace(rule) for rule in rules]
        self._rng.seed(seed)

    def relent(self, *, idle: bool = False) -> list[Rule]:
        """Let nothing go wrong any more; returns all rules that were followed, without those of now where they may be idle."""
        self._ended, self._rules = self._ended + ([] if idle else self._rules), []
        return self._ended

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(request.command, request.path, self._rng)), None)
            do = rule.do if rule else ""
            if rule and do != "stale":
                rule.fired += 1
        headers = dict(request.headers.items())
        if do in CODES:
            xml = f"<Error><Code>{do}</Code><Message>scripted</Message></Error>".encode()
            self._answer(request, CODES[do], {"Content-Type": "application/xml"}, xml)
            return
        if do == "cut":
            request.close_connection = True
            return
        if do == "stall":
            time.sleep(self.stall)
        if do == "raced":
            signed = {name: value for name, value in headers.items() if name.lower() in ("authorization", "x-amz-date")}
            assert self._forward("PUT", request.path, signed, b"another's")[0] == 200
        if do == "unheeded":
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("if-")}
        status, answered, data = self._forward(request.command, request.path, headers, body)
        if do == "lost":
            request.close_connection = True
            return
        if rule and do == "stale":
            whole, data = data, self._without_new(data)
            rule.fired += data != whole
        self._answer(request, status, answered, data)

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        kept = {name: value for name, value in headers.items() if name.lower() not in ("connection", "expect")}
        with contextlib.closing(http.client.HTTPConnection(self.target, timeout=60)) as connection, self._one:
            connection.request(method, path, body, kept)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

    def _answer(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: bytes) -> None:
        request.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                request.send_header(name, value)
        length = headers.get("Content-Length", "0") if request.command == "HEAD" else str(len(data))
        request.send_header("Content-Length", length)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data)

    def _without_new(self, listing: bytes) -> bytes:
        now = time.time()

        def old(match: re.Match[bytes]) -> bytes:
            stamp = re.search(rb"<LastModified>([^.<Z]*)", match[0])
            assert stamp is not None
            written = time.mktime(time.strptime(stamp[1].decode(), "%Y-%m-%dT%H:%M:%S")) - time.timezone
            return b"" if now - written < self.hides else match[0]

        return re.sub(rb"<Contents>.*?</Contents>", old, listing, flags=re.DOTALL)


@contextlib.contextmanager
def proxy(target: str, **more: Any) -> Iterator[Proxy]:
    """A proxy before the server at `target`, gone at the end; a rule that never fired shows nothing, so it is an error."""
    running = Proxy(target, **more)
    try:
        yield running
        idle = [rule for rule in running.relent() if not rule.fired]
        assert not idle, f"never fired: {idle}"
    finally:
        running.close()
