"""OpenAI-compatible endpoints (OpenAI, DeepSeek, vLLM, Ollama) through the openai client: one call, no retry.

Endpoints differ in what they accept. Instead of a table of vendors that would age, the first calls find out: a reply schema,
else "some JSON object", else neither; `max_completion_tokens` or `max_tokens`. If the first variant gets a 400 before anything
was answered, one call tries the others while the rest wait, and the one that is answered is kept. The cost is a few unbilled
calls at the start of a run.

The client's connections, headers and errors are used (its `post`), its typed requests and replies are not: building those
takes a third of a call's processor time.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from distillery.components.labeling.oracles.base import (
    NOTHING,
    OutOfCredit,
    RateLimited,
    RawReply,
    Refused,
    Request,
    Unavailable,
)
from distillery.components.labeling.oracles.connections import NOT_SENT, one_each, reach
from distillery.components.labeling.oracles.keys import NO_KEY, Key, needed_key, read_key
from distillery.components.labeling.oracles.message import message_text, refusal_text
from distillery.components.labeling.oracles.schema import wire_schema
from distillery.components.labeling.oracles.usage import read_bill, read_usage
from distillery.components.labeling.oracles.waiting import retry_after, told_wait
from distillery.filters.digests import oracle_part
from distillery.filters.errors import InputError, install_line
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

T = TypeVar("T")

DEFAULT_VARIABLE: Final = "OPENAI_API_KEY"
CONNECT_SECONDS: Final = 15.0
CREDIT: Final = ("insufficient_quota", "billing", "current quota", "insufficient balance", "credit")
# The length of a text, or what a filter says of it: OpenAI's and Azure's, OpenRouter's, DeepSeek's, Qwen's.
THIS_REQUEST: Final = re.compile(
    r"content_filter|context_length|context (?:length|size)|content[_ ]policy|too long|moderation|content exists risk"
    r"|data_inspection|inappropriate content|\b(?:input|prompt|content|text|request)\b[^.]{0,40}\bflagged\b"
)
TOLD: Final = ("401", "402", "403", "408", "409", "425", "429")  # and 5xx: no word about this article, wherever they stand
NAMED: Final = {  # codes and types that gateways write instead
    **dict.fromkeys(("rate_limit_exceeded", "rate_limit_error", "insufficient_quota"), "429"),
    **dict.fromkeys(("overloaded_error", "server_error", "api_error", "timeout_error"), "503"),
}
NO_HEADERS: Final[Mapping[str, str]] = {}
FINISH: Final[Mapping[str, str]] = {
    **dict.fromkeys(("stop", "eos", "end_turn", "stop_sequence", "tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"), "length"),
    "content_filter": "blocked",
}


class Unaccepted(Refused):
    """A 400 that may be about the variant of the request rather than about this article."""


def _address(url: httpx2.URL) -> str:
    """Return an address as it may be printed: without a user, a password or a query, which may be secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rpartition('@')[2]}{url.path}".rstrip("/")


class OpenAIEndpoint:
    """One model at one endpoint.

    Attributes:
        client: what its calls are made with.
        name: what it is called in messages.
        key: the key that is sent.
    """

    def __init__(self, flt: Filter, client: AsyncOpenAI, http: httpx2.AsyncClient, key: Key) -> None:
        self.identity = identity(flt)
        self._oracle, self.client, self._http, self.key = flt.spec.oracle, client, http, key
        self._ways = list(_ways(flt, str(client.base_url)))
        self.name = f"the endpoint {_address(client.base_url)}"
        self._kept: Mapping[str, Any] | None = None
        self._searching = asyncio.Lock()

    async def ask(self, request: Request) -> RawReply:
        """Make one call; the first calls of a run may try several variants.

        Args:
            request: the question.

        Returns:
            The reply.

        Raises:
            OracleError: there is no reply.
            InputError: the key is refused, or the model or address is unknown.
        """
        try:
            reply = await self._call(request, way := self._kept or self._ways[0])
        except Unaccepted as refusal:
            if self._kept is way:
                raise
            async with self._searching:
                return await self._search(request, refusal)
        self._kept = way
        return reply

    async def reach(self) -> None:
        """Connect and ask nothing.

        Raises:
            Unavailable: no connection can be had.
        """
        if why := await reach(self._http, str(self.client.base_url)):
            raise Unavailable(f"{self.name} can't be reached: {why}")

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def _search(self, request: Request, refusal: Unaccepted) -> RawReply:
        """Try the other variants of the request; raise `refusal` where every one of them is refused."""
        for way in [self._kept] if self._kept else self._ways[1:]:
            try:
                reply = await self._call(request, way)
            except Unaccepted:
                continue
            self._kept = way
            return reply
        raise refusal

    @property
    def ways(self) -> int:
        """How many variants of a request there are."""
        return len(self._ways)

    def body(self, request: Request, way: int) -> dict[str, Any]:
        """Return a request as it is sent.

        Args:
            request: the question.
            way: number of the variant, from 0.

        Returns:
            The JSON object.
        """
        return self._body(request, self._ways[way])

    def _body(self, request: Request, way: Mapping[str, Any]) -> dict[str, Any]:
        body = {"model": self._oracle.model, "messages": [{"role": "user", "content": request.prompt}], **way}
        if self._oracle.temperature is not None:
            body["temperature"] = self._oracle.temperature
        return body

    async def _call(self, request: Request, way: Mapping[str, Any]) -> RawReply:
        import httpx2

        async def post() -> str:
            body = self._body(request, way)
            return (await self.client.post("/chat/completions", body=body, cast_to=httpx2.Response)).text

        text = await self.translated(post)
        try:
            reply = loads(text)
        except (ValueError, RecursionError):
            reply = None
        return self.read(reply)

    async def translated(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call with the client.

        Args:
            call: makes it.

        Returns:
            What it returns.

        Raises:
            OracleError: as `ask`.
            InputError: as `ask`.
        """
        import httpx2
        import openai

        try:
            return await call()
        except openai.APIStatusError as error:
            response = error.response
            raise self.mapped(error.status_code, error.body, error.message, response.headers, response.text) from None
        except openai.APIConnectionError as error:  # deadlines, refused and dropped connections
            reason = type(error.__cause__).__name__
            raise Unavailable(f"{self.name} gave no answer: {reason}", unknown=reason not in NOT_SENT) from None
        except httpx2.HTTPError as error:  # while a body is streamed
            raise Unavailable(f"{self.name} broke off its answer: {type(error).__name__}", unknown=True) from None
        except (openai.OpenAIError, UnicodeError) as error:
            raise Unavailable(self.key.message(f"{self.name}: {type(error).__name__}: {error}"), unknown=True) from None

    def read(self, reply: object) -> RawReply:
        """Read an answer.

        Args:
            reply: its body, parsed as JSON.

        Returns:
            The reply.

        Raises:
            OracleError: it holds none.
        """
        if not isinstance(reply, dict):
            raise Unavailable(f"the answer of {self.name} is not JSON", unknown=True)
        version, choices = str(reply.get("model") or ""), reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        message = choice.get("message") if choice else None
        if choice is None or not isinstance(message, dict) or choice.get("error"):
            raise self._none(reply, (choice or {}).get("error") or reply.get("error") or reply.get("detail"))
        finish = FINISH.get(str(choice.get("finish_reason")), "other")
        content = message_text(message, complete=finish == "stop")
        if not content and (refusal := refusal_text(message)):
            content, finish = refusal, "blocked"
        return RawReply(content, read_usage(reply, wrote=bool(content)), finish, version, self.key)

    def _none(self, reply: dict[str, Any], error: object) -> Exception:
        """Translate an answer without a reply; gateways put errors of the model behind them into a 200."""
        found = error if isinstance(error, dict) else {"message": error}
        code, said = str(found.get("code")), str(found.get("message") or "")[:200]
        status = NAMED.get(code) or NAMED.get(str(found.get("type"))) or code
        if status in TOLD or re.fullmatch(r"5\d\d", status):
            return self.mapped(int(status), found, said, text=reply)
        usage, unknown = read_bill(reply)
        what = f"the answer of {self.name} holds no reply" + (f": {said}" if said else "")
        return Refused(self.key.message(what), usage=usage, unknown=unknown)

    def mapped(
        self, status: int, body: object, said: str = "", headers: Mapping[str, str] = NO_HEADERS, text: object = None
    ) -> Exception:
        """Translate an error of the service.

        Args:
            status: that of HTTP.
            body: the body, parsed as JSON, or its "error".
            said: what the client makes of it.
            headers: the headers, by name in small letters.
            text: the whole body, which may state a bill; None for `body`.

        Returns:
            One of the contract's errors, or an InputError.
        """
        text = body if text is None else text
        body = body[0] if isinstance(body, list) and body else body  # Gemini's errors come in a list
        body = body if isinstance(body, dict) else {}
        body = body["error"] if isinstance(body.get("error"), dict) else body
        words = f"{body.get('type')} {body.get('code')} {said or body.get('message')}".lower()
        message = self.key.message(f"{status} {body.get('message') or said}")
        wait, spent = retry_after(headers), any(word in words for word in CREDIT)
        # Gemini calls what a minute allows a quota, too, and says when it ends
        soon = told_wait(text) if status == 429 else None
        if status == 402 or (status in (403, 429) and spent and soon is None):
            return OutOfCredit(message)
        if status == 429:
            return RateLimited(message, retry_after=wait if wait is not None else soon)
        if status in (409, 425):  # not taken up, so not billed
            return Unavailable(f"{self.name}: {message}", retry_after=wait)
        if status == 408 or status >= 500:
            usage, unknown = read_bill(text)
            return Unavailable(f"{self.name}: {message}", usage=usage, unknown=unknown, retry_after=wait)
        if status not in (401, 404) and THIS_REQUEST.search(words):  # the model, or a filter before it, has read the prompt
            usage, unknown = read_bill(text)
            return Refused(message, usage=usage, unknown=unknown)
        if status in (401, 403):
            return InputError(
                f"{self.name} refuses the key: {message}",
                where=self.key.where,
                hint="check the key, and that oracle.baseUrl is the address it is for",
            )
        if status == 404 or status < 400:
            return InputError(
                f"{self.name} has no such model or address: {message}",
                where="spec.oracle",
                hint="check oracle.model and oracle.baseUrl, which often ends in /v1",
            )
        if body.get("param") == "temperature" or "'temperature'" in words:
            return InputError(
                f"the model does not take this temperature: {message}",
                where="spec.oracle.temperature",
                hint="set oracle.temperature to null",
            )
        # Groq refuses what its model has written, where that is no JSON; only then there is something to bill
        usage, unknown = read_bill(text) if "failed_generation" in body else (NOTHING, False)
        return Unaccepted(message, usage=usage, unknown=unknown)


def identity(flt: Filter) -> dict[str, Any]:
    """Return what an answer depends on besides the prompt.

    Args:
        flt: the filter.

    Returns:
        Provider, model and parameters.
    """
    return oracle_part(flt)


def connect(flt: Filter) -> OpenAIEndpoint:
    """Connect to `oracle.baseUrl`, else OPENAI_BASE_URL, else OpenAI's own endpoint.

    Args:
        flt: the filter; without oracle.apiKeyEnv and OPENAI_API_KEY, another endpoint than OpenAI's is asked without a key.

    Returns:
        The oracle.

    Raises:
        InputError: a key or the client library is missing.
    """
    return endpoint(flt)


def endpoint(flt: Filter, *, streams: bool = False) -> OpenAIEndpoint:
    """Return the filter's endpoint.

    Args:
        flt: the filter.
        streams: True for large files, which are not held in memory; False for many small calls.

    Returns:
        The endpoint.

    Raises:
        InputError: as `connect`.
    """
    try:
        import httpx2
        import openai
    except ImportError:
        raise InputError(
            "the openai client is not installed", where="spec.oracle.provider", hint=install_line("oracle")
        ) from None
    oracle = flt.spec.oracle
    if oracle.apiKeyEnv:
        key = needed_key(oracle.apiKeyEnv)
    elif (default := read_key(DEFAULT_VARIABLE)) or not (oracle.baseUrl or os.environ.get("OPENAI_BASE_URL")):
        key = default or needed_key(DEFAULT_VARIABLE)
    else:
        key = NO_KEY
    # The engine decides how many calls are under way; a pool with a limit of its own would only queue them out of sight.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30)
    timeout = httpx2.Timeout(oracle.timeoutSeconds, connect=min(CONNECT_SECONDS, oracle.timeoutSeconds), pool=None)
    http = openai.DefaultAsyncHttpxClient(
        limits=limits, timeout=timeout, transport=None if streams else one_each(httpx2), follow_redirects=False
    )
    return OpenAIEndpoint(
        flt,
        openai.AsyncOpenAI(
            api_key=key.reveal() or "none", base_url=oracle.baseUrl, max_retries=0, timeout=timeout, http_client=http
        ),
        http,
        key,
    )


def _ways(flt: Filter, address: str) -> Iterator[dict[str, Any]]:
    """Yield what can be sent besides model, prompt and temperature; best first."""
    schema = {"name": "judgement", "strict": True, "schema": wire_schema(flt)}
    formats = [{"type": "json_schema", "json_schema": schema}, {"type": "json_object"}, None]
    # OpenAI's newer models refuse max_tokens; elsewhere the newer name may be passed over in silence, and with it the limit.
    limits = ["max_completion_tokens", "max_tokens"]
    for kind in formats:
        for limit in limits if "api.openai.com" in address else reversed(limits):
            yield {limit: flt.spec.oracle.maxOutputTokens, **({"response_format": kind} if kind else {})}
