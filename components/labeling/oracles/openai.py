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
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, Final

from distillery.components.labeling.oracles.base import (
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
from distillery.filters.digests import oracle_part
from distillery.filters.errors import InputError, install_line
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import httpx2
    from openai import APIStatusError, AsyncOpenAI

DEFAULT_VARIABLE: Final = "OPENAI_API_KEY"
MAX_RETRY_AFTER: Final = 3600.0
CONNECT_SECONDS: Final = 15.0
CREDIT: Final = ("insufficient_quota", "billing", "current quota", "insufficient balance", "credit")
THIS_REQUEST: Final = ("content_filter", "context_length", "context length", "content_policy", "content policy", "too long")
FINISH: Final[Mapping[str, str]] = {
    **dict.fromkeys(("stop", "eos", "end_turn", "stop_sequence", "tool_calls", "function_call"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"), "length"),
    "content_filter": "blocked",
}


class _Unaccepted(Refused):
    """A 400 that may be about the variant of the request rather than about this article."""


def _address(url: httpx2.URL) -> str:
    """Return an address as it may be printed: without a user, a password or a query, which may be secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rpartition('@')[2]}{url.path}".rstrip("/")


class OpenAIEndpoint:
    """One model at one endpoint."""

    def __init__(self, flt: Filter, client: AsyncOpenAI, http: httpx2.AsyncClient, key: Key) -> None:
        self.identity = identity(flt)
        self._oracle, self._client, self._http, self._key = flt.spec.oracle, client, http, key
        self._ways = list(_ways(flt, str(client.base_url)))
        self._name = f"the endpoint {_address(client.base_url)}"
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
        except _Unaccepted as refusal:
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
        if why := await reach(self._http, str(self._client.base_url)):
            raise Unavailable(f"{self._name} can't be reached: {why}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _search(self, request: Request, refusal: _Unaccepted) -> RawReply:
        """Try the other variants of the request; raise `refusal` where every one of them is refused."""
        for way in [self._kept] if self._kept else self._ways[1:]:
            try:
                reply = await self._call(request, way)
            except _Unaccepted:
                continue
            self._kept = way
            return reply
        raise refusal

    async def _call(self, request: Request, way: Mapping[str, Any]) -> RawReply:
        import httpx2
        import openai

        body = {"model": self._oracle.model, "messages": [{"role": "user", "content": request.prompt}], **way}
        if self._oracle.temperature is not None:
            body["temperature"] = self._oracle.temperature
        try:
            text = (await self._client.post("/chat/completions", body=body, cast_to=httpx2.Response)).text
        except openai.APIStatusError as error:
            raise self._mapped(error) from None
        except openai.APIConnectionError as error:  # deadlines, refused and dropped connections
            reason = type(error.__cause__).__name__
            raise Unavailable(f"{self._name} gave no answer: {reason}", unknown=reason not in NOT_SENT) from None
        except (openai.OpenAIError, UnicodeError) as error:
            raise Unavailable(self._key.message(f"{self._name}: {type(error).__name__}: {error}"), unknown=True) from None
        return self._read(text)

    def _read(self, text: str) -> RawReply:
        try:
            reply = loads(text)
            version, choices = str(reply.get("model") or ""), reply.get("choices")
        except (ValueError, AttributeError, RecursionError):
            raise Unavailable(f"the answer of {self._name} is not JSON", unknown=True) from None
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        if choice is None or not isinstance(message := choice.get("message"), dict):
            usage, unknown = read_bill(reply)
            raise Refused(f"the answer of {self._name} holds no reply", usage=usage, unknown=unknown)
        finish = FINISH.get(str(choice.get("finish_reason")), "other")
        content = message_text(message, complete=finish == "stop")
        if not content and (refusal := refusal_text(message)):
            content, finish = refusal, "blocked"
        return RawReply(content, read_usage(reply, wrote=bool(content)), finish, version, self._key)

    def _mapped(self, error: APIStatusError) -> Exception:
        status, body = error.status_code, error.body if isinstance(error.body, dict) else {}
        words = f"{body.get('type')} {body.get('code')} {error.message}".lower()
        message = self._key.message(f"{status} {body.get('message') or error.message}")
        if status == 402 or (status in (403, 429) and any(word in words for word in CREDIT)):
            return OutOfCredit(message)
        if status == 429:
            return RateLimited(message, retry_after=retry_after(error.response.headers))
        wait = retry_after(error.response.headers)
        if status in (409, 425):  # not taken up, so not billed
            return Unavailable(f"{self._name}: {message}", retry_after=wait)
        if status == 408 or status >= 500:
            usage, unknown = read_bill(error.response.text)
            return Unavailable(f"{self._name}: {message}", usage=usage, unknown=unknown, retry_after=wait)
        if status in (401, 403):
            return InputError(
                f"{self._name} refuses the key: {message}",
                where=self._key.where,
                hint="check the key, and that oracle.baseUrl is the address it is for",
            )
        if status == 404 or status < 400:
            return InputError(
                f"{self._name} has no such model or address: {message}",
                where="spec.oracle",
                hint="check oracle.model and oracle.baseUrl, which often ends in /v1",
            )
        if body.get("param") == "temperature" or "'temperature'" in words:
            return InputError(
                f"the model does not take this temperature: {message}",
                where="spec.oracle.temperature",
                hint="set oracle.temperature to null",
            )
        if any(word in words for word in THIS_REQUEST):  # the model, or a filter before it, has read the prompt
            usage, unknown = read_bill(error.response.text)
            return Refused(message, usage=usage, unknown=unknown)
        return _Unaccepted(message)


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
    http = openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout, transport=one_each(httpx2), follow_redirects=False)
    return OpenAIEndpoint(
        flt,
        openai.AsyncOpenAI(
            api_key=key.reveal() or "none", base_url=oracle.baseUrl, max_retries=0, timeout=timeout, http_client=http
        ),
        http,
        key,
    )


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


def _ways(flt: Filter, address: str) -> Iterator[dict[str, Any]]:
    """Yield what can be sent besides model, prompt and temperature; best first."""
    schema = {"name": "judgement", "strict": True, "schema": wire_schema(flt)}
    formats = [{"type": "json_schema", "json_schema": schema}, {"type": "json_object"}, None]
    # OpenAI's newer models refuse max_tokens; elsewhere the newer name may be passed over in silence, and with it the limit.
    limits = ["max_completion_tokens", "max_tokens"]
    for kind in formats:
        for limit in limits if "api.openai.com" in address else reversed(limits):
            yield {limit: flt.spec.oracle.maxOutputTokens, **({"response_format": kind} if kind else {})}
