"""A local server that speaks an OpenAI-compatible endpoint's wire format, faults included, and keeps its own bill.

One asyncio loop in a thread of its own (or in a process: `python -m tests.labeling.oracles.servers --latency 0.3`), HTTP/1.1
by hand so that it is never what a benchmark measures. Scores follow from article and dimension alone: whatever is asked
again, and in whatever order, is answered alike.

    with OpenAIServer(latency=0.3, storm={"429": 0.3, "500": 0.1, "hang": 0.05, "malformed": 0.05}) as server:
        ... oracle.baseUrl = server.url ...
        server.counters.paid
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

MODEL_VERSION = "served-model-2026-10-01"
SCORE_LINE = re.compile(r'^\s*"(\w+)": <number from 0 to 10>', re.MULTILINE)
TYPES = re.compile(r'"content_type": "<([^>]*)>"')
Fault = str


@dataclass
class Counters:
    """paid: calls answered with a reply that is billed. by_article: paid calls, by digest of the article part."""

    calls: int = 0
    paid: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    connections: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    by_article: Counter[str] = field(default_factory=Counter)

    def bill(self, article: str, input_tokens: int, cached: int, output_tokens: int) -> None:
        self.paid += 1
        self.input_tokens += input_tokens
        self.cached_tokens += cached
        self.output_tokens += output_tokens
        self.by_article[article] += 1


@dataclass
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpResponse:
    """cut: bytes of the body that are sent before the connection is dropped. hang: nothing is ever sent."""

    status: int = 200
    body: Any = None  # bytes as they are, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False


class Server:
    """HTTP in a thread. Subclasses answer; `requests` keeps the last ones where `keep` is set."""

    keep = 1000

    def __init__(
        self,
        *,
        latency: float = 0.0,
        storm: Mapping[Fault, float] | None = None,
        seed: int = 0,
        script: list[Fault] | None = None,
        fault: Callable[[str, int], Fault | None] | None = None,
    ) -> None:
        """latency: seconds for each answer. storm: share of calls by fault. script: faults of the first calls, "" for none.

        fault: decides by article part's digest and how often it was asked before, instead of storm and script.
        """
        self.latency, self.storm, self.seed, self.script = latency, dict(storm or {}), seed, list(script or [])
        self._fault = fault
        self.counters = Counters()
        self.requests: list[HttpRequest] = []
        self._asked: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[Any]] = set()
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What oracle.baseUrl is to be."""
        return self.origin

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24, backlog=2048)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.counters.connections += 1
        try:
            while request := await self._read(reader):
                if self.keep and len(self.requests) < self.keep:
                    self.requests.append(request)
                response = await self.respond(request)
                if response.hang:
                    await reader.read(1)  # until the client gives up
                    return
                if not self._write(writer, response):
                    return
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> HttpRequest | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return HttpRequest(method, path, headers, body)

    def _write(self, writer: asyncio.StreamWriter, response: HttpResponse) -> bool:
        """False: the connection is dropped."""
        body = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        headers = {"content-type": "application/json", **response.headers, "content-length": str(len(body))}
        head = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        writer.write(head.encode("latin-1") + (body if response.cut is None else body[: response.cut]))
        return response.cut is None

    def fault_for(self, article: str) -> Fault:
        """The fault of this call, "" for none: scripted, else drawn by seed, article and how often it was asked."""
        asked, self._asked[article] = self._asked[article], self._asked[article] + 1
        if self._fault is not None:
            found = self._fault(article, asked) or ""
        elif self.script:
            found = self.script.pop(0)
        else:
            draw, found = uniform(f"{self.seed}/{article}/{asked}"), ""
            for name, share in self.storm.items():
                draw -= share
                if draw < 0:
                    found = name
                    break
        if found:
            self.counters.faults[found] += 1
        return found

    @contextlib.contextmanager
    def call(self) -> Any:
        """Counts one call to the model and how many are under way."""
        self.counters.calls += 1
        self.counters.in_flight += 1
        self.counters.max_in_flight = max(self.counters.max_in_flight, self.counters.in_flight)
        try:
            yield
        finally:
            self.counters.in_flight -= 1

    async def respond(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/counters":
            return HttpResponse(body=vars(self.counters))
        return await self.answer(request)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError


def uniform(text: str) -> float:
    """0 ≤ x < 1, by the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def article_part(prompt: str) -> str:
    return prompt[prompt.rindex("\n<article>\n") :] if "\n<article>\n" in prompt else prompt


def article_key(prompt: str) -> str:
    """What `Counters.by_article` counts by."""
    return hashlib.sha256(article_part(prompt).encode()).hexdigest()[:16]


def true_scores(prompt: str) -> dict[str, float]:
    """What the server will reply for this prompt; a test compares labels with it."""
    key = article_key(prompt)
    return {name: round(10 * uniform(f"{key}/{name}"), 1) for name in SCORE_LINE.findall(prompt)}


def reply_text(prompt: str) -> str:
    answer: dict[str, Any] = {"reasoning": "As the article states."}
    if types := TYPES.search(prompt):
        answer["content_type"] = types[1].split(" | ")[-1]
    return json.dumps({**answer, **true_scores(prompt)})


def tokens(text: str) -> int:
    return max(1, len(text) // 4)


INVALID = "invalid_request_error"
RATE = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
QUOTA = "You exceeded your current quota, please check your plan and billing details."
OPENAI_ERRORS: dict[Fault, tuple[int, dict[str, Any], dict[str, str]]] = {
    "429": (429, RATE, {}),
    "429-after": (429, RATE, {"retry-after": "2"}),
    "429-after-ms": (429, RATE, {"retry-after-ms": "150"}),
    "quota": (429, {"message": QUOTA, "type": "insufficient_quota", "code": "insufficient_quota"}, {}),
    "402": (402, {"message": "Insufficient Balance", "type": "unknown_error", "code": INVALID}, {}),
    "403-billing": (403, {"message": "Your account is not active", "code": "billing_not_active"}, {}),
    "403": (403, {"message": "Project has no access to this model", "type": INVALID, "code": "model_not_found"}, {}),
    "404": (404, {"message": "The model `m` does not exist", "type": INVALID, "code": "model_not_found"}, {}),
    "400": (400, {"message": "Bad request", "type": INVALID}, {}),
    "400-filter": (400, {"message": "The prompt was filtered", "type": INVALID, "code": "content_filter"}, {}),
    "400-long": (400, {"message": "maximum context length is 8192", "code": "context_length_exceeded"}, {}),
    "400-temperature": (400, {"message": "'temperature' does not support 0", "type": INVALID, "param": "temperature"}, {}),
    "500": (500, {"message": "The server had an error", "type": "server_error"}, {}),
    "503": (503, {"message": "Overloaded", "type": "server_error"}, {"retry-after": "1"}),
}


class OpenAIServer(Server):
    """An endpoint that answers POST /v1/chat/completions.

    Faults: those of OPENAI_ERRORS, 401 (which quotes the key, as some gateways do), hang, cut, garbage (no JSON), malformed
    (a torn reply), echo (no scores, the key instead), no_usage, length, blocked, refusal, empty (no choices).
    formats: what `response_format` types it knows, others are 400. token_key: the one limit it takes, None for both.
    """

    def __init__(
        self,
        *,
        formats: frozenset[str] = frozenset({"json_schema", "json_object"}),
        token_key: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.formats, self.token_key, self.key = formats, token_key, key

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    async def answer(self, request: HttpRequest) -> HttpResponse:
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return _openai_error(404, {"message": f"no such path: {request.path}"}, {})
        with self.call():
            return await self._complete(request)

    async def _complete(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("authorization", "")
        body = request.json()
        prompt = "".join(message["content"] for message in body["messages"])
        fault = self.fault_for(article_key(prompt))
        if fault == "401" or (self.key is not None and given != f"Bearer {self.key}"):
            message = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
            return _openai_error(401, {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}, {})
        if fault == "hang":
            return HttpResponse(hang=True)
        await asyncio.sleep(self.latency)
        if fault in OPENAI_ERRORS:
            return _openai_error(*OPENAI_ERRORS[fault])
        kind = body.get("response_format", {}).get("type", "text")
        if kind not in self.formats | {"text"}:
            return _openai_error(400, {"message": f"This response_format type is unavailable now: {kind}"}, {})
        other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
        if self.token_key and other[self.token_key] in body:
            message = f"Unsupported parameter: '{other[self.token_key]}'. Use '{self.token_key}' instead."
            return _openai_error(400, {"message": message, "param": other[self.token_key]}, {})
        if fault == "garbage":
            return HttpResponse(body=b"<html>upstream says hello</html>", headers={"content-type": "text/html"})
        text = "" if fault == "blocked" else reply_text(prompt)
        text = text[: len(text) // 2] if fault in ("malformed", "length") else text
        text = f"I was given {given}." if fault == "echo" else text
        input_tokens, output_tokens = tokens(prompt), tokens(text)
        cached = tokens(prompt.removesuffix(article_part(prompt))) if self.counters.paid else 0
        if fault == "no_usage":
            input_tokens = cached = output_tokens = 0
        self.counters.bill(article_key(prompt), input_tokens, cached, output_tokens)
        finish = {"length": "length", "blocked": "content_filter"}.get(fault, "stop")
        message = {"role": "assistant", "content": text, "refusal": None}
        if fault == "refusal":
            message |= {"content": None, "refusal": "I can't help with that."}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        reply = {
            "id": f"chatcmpl-{self.counters.calls}", "object": "chat.completion", "created": 1, "model": MODEL_VERSION,
            "choices": [] if fault == "empty" else [choice],
            "usage": {"prompt_tokens": input_tokens, "completion_tokens": output_tokens,
                      "total_tokens": input_tokens + output_tokens, "prompt_tokens_details": {"cached_tokens": cached}},
        }  # fmt: skip
        if fault == "no_usage":
            del reply["usage"]
        return HttpResponse(body=reply, cut=40 if fault == "cut" else None)


def _openai_error(status: int, error: dict[str, Any], headers: dict[str, str]) -> HttpResponse:
    return HttpResponse(status, {"error": {"param": None, "code": None, **error}}, headers)


def main() -> None:
    """Serves until its standard input closes; prints what oracle.baseUrl is to be. GET /counters gives the bill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--storm", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--service", choices=["openai", "vertex"], default="openai")
    options = parser.parse_args()
    kind: type[Server] = OpenAIServer
    if options.service == "vertex":
        from tests.labeling.oracles.vertex_server import VertexServer

        kind = VertexServer
    server = kind(latency=options.latency, storm=options.storm, seed=options.seed)
    server.keep, server.port = 0, options.port
    with server:
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            input()


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        main()
