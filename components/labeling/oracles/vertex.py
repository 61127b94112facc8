"""Gemini on Vertex AI, online, through google-genai: one call, no retry.

All calls share their rubric. From the eighth call on it lies in a context cache, where it is long enough for one: cached
tokens then certainly cost a tenth to a quarter of others, while the service's implicit caching leaves that to chance. The cost
is storage, for 3,000 tokens less than a cent an hour, and one object in the project: named by its content, so that a second run
finds it, and deleted by the run that made it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from distillery.components.labeling.oracles.base import Besides, RawReply, Refused, Request, Unavailable
from distillery.components.labeling.oracles.connections import NOT_SENT, one_each, reach
from distillery.components.labeling.oracles.gemini import (
    Account,
    account,
    address,
    failed_credentials,
    generation_config,
    mapped,
    read_response,
    system_instruction,
)
from distillery.components.labeling.oracles.usage import most_tokens, read_usage
from distillery.filters.digests import oracle_part
from distillery.filters.errors import InputError, install_line
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import httpx
    from google.genai.client import AsyncClient
    from google.genai.types import Content, GenerateContentConfig, Part

CONNECT_SECONDS: Final = 15.0
CACHE_AFTER: Final = 8  # calls: below it a cache costs more than it saves
CACHE_CHARACTERS: Final = 4_000  # of the rubric; the smallest that a model caches is 1,024 tokens
CACHE_LIFE: Final = timedelta(hours=1)
CACHE_RENEWED: Final = timedelta(minutes=20)  # before it ends; longer than any call
CACHE_AGAIN: Final = timedelta(minutes=1)  # after it could not be had: calls that are turned away are not doubled by it


class Vertex:
    """One model in one project and region."""

    def __init__(self, flt: Filter, client: AsyncClient, http: httpx.AsyncClient, who: Account) -> None:
        self.identity = identity(flt)
        self._address = address(flt, who)
        self._client, self._http, self._key, self._model = client, http, who.key, flt.spec.oracle.model
        self._body = {"generationConfig": generation_config(flt)}
        self._configs: dict[str | None, GenerateContentConfig] = {}  # by cache; a rubric has one, or another when it ended
        self._content, self._part = _quick()
        self._calls = 0
        self._cache = Prefix(client, self._model)

    async def ask(self, request: Request) -> RawReply:
        """Make one call, with the cached rubric where there is one.

        Args:
            request: the question.

        Returns:
            The reply; what making the cache was billed is in the request's `besides`.

        Raises:
            OracleError: there is no reply.
            InputError: credentials are refused, or the model is unknown.
        """
        self._calls += 1
        cached = self._calls > CACHE_AFTER and len(request.prefix) >= CACHE_CHARACTERS
        return await self._ask(request, await self._cache.name(request) if cached else None)

    async def reach(self) -> None:
        """Connect and ask nothing.

        Raises:
            Unavailable: no connection can be had.
        """
        if why := await reach(self._http, self._address):
            raise Unavailable(f"Vertex AI at {self._address} can't be reached: {why}")

    async def close(self) -> None:
        """Delete the cache that this run made, and close the connections."""
        await self._cache.close()
        await self._client.aclose()
        await self._http.aclose()  # the client leaves one that it was given open

    async def _ask(self, request: Request, cache: str | None) -> RawReply:
        try:
            return await self._call(request, cache)
        except (Refused, InputError) as error:
            billed = isinstance(error, Refused) and (error.usage or error.unknown)  # so it was taken up
            if cache is None or billed or "cache" not in str(error).lower():
                raise
            self._cache.lost(cache)  # it ended, or another run deleted it
            return await self._call(request, None)

    async def _call(self, request: Request, cache: str | None) -> RawReply:
        import httpx
        from google.auth.exceptions import GoogleAuthError
        from google.genai import errors

        config = self._configs.get(cache) or self._configs.setdefault(cache, self._config(request, cache))
        try:
            turn = self._content(role="user", parts=[self._part(text=request.part)])
            response = await self._client.models.generate_content(model=self._model, contents=turn, config=config)
            answer = loads(response.sdk_http_response.body)  # type: ignore[union-attr, arg-type]
        except errors.APIError as error:
            raise mapped(
                error.code, error.message, error.details, dict(getattr(error.response, "headers", None) or {}), self._key
            ) from None
        except httpx.HTTPError as error:  # deadlines, refused and dropped connections
            reason = type(error).__name__
            raise Unavailable(f"the service gave no answer: {reason}", unknown=reason not in NOT_SENT) from None
        except GoogleAuthError as error:
            raise failed_credentials(error, self._key) from None
        except (ValueError, TypeError, RecursionError):
            raise Unavailable("the service's answer is not JSON", unknown=True) from None
        return read_response(answer, self._key)

    def _config(self, request: Request, cache: str | None) -> GenerateContentConfig:
        """Build all of a call but its article, once: checking it again for each call takes the client half a millisecond.

        The body is ours, as in a batch row: building it from the client's models takes as long as the rest of a call.
        """
        from google.genai import types

        class Config(_NoKeys, types.GenerateContentConfig):
            """Nobody changes it, so the client's deep copy for each call is a shallow one."""

            def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Config:
                return self.__copy__()

        prefix = {"cachedContent": cache} if cache else {"systemInstruction": system_instruction(request)}
        return Config(
            http_options=types.HttpOptions(extra_body={**self._body, **prefix}),
            should_return_http_response=True,
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )


class _NoKeys:
    def __contains__(self, key: object) -> bool:
        """Return what pydantic's own method returns after comparing all fields; the client asks 63 times a call."""
        return False


def _quick() -> tuple[type[Content], type[Part]]:
    from google.genai import types

    class QuickContent(_NoKeys, types.Content):
        pass

    class QuickPart(_NoKeys, types.Part):
        pass

    return QuickContent, QuickPart


class Prefix:
    """The context cache of the rubric; `own` are the caches that this run made and deletes."""

    def __init__(self, client: AsyncClient, model: str) -> None:
        self._client, self._model = client, model
        self._name: str | None = None
        self._own: set[str] = set()
        self._until = self._not_before = datetime.min.replace(tzinfo=UTC)
        self._gave_up = False
        self._busy = asyncio.Lock()

    async def name(self, request: Request) -> str | None:
        """Return the cache's name, made or prolonged where needed. It never fails, since a cache only saves money.

        Args:
            request: a call, with the rubric; its `besides` gets what making the cache was billed, or at most if nobody says.

        Returns:
            The name; None while there is none.
        """
        from google.genai import errors

        now = datetime.now(UTC)
        if self._gave_up or self._busy.locked() or now < self._not_before:
            return None if self._gave_up else self._name
        if self._name and now < self._until - CACHE_RENEWED:
            return self._name
        async with self._busy:
            try:
                if self._name is None:
                    await self._find_or_make(request)
                else:
                    await self._renew(self._name)
            except asyncio.CancelledError:  # at the deadline of a call: the next one does not wait for the same
                self._not_before = now + CACHE_AGAIN
                raise
            except errors.APIError as error:
                # Too short for this model, not offered here, or no permission: the service's implicit caching remains.
                self._gave_up = self._name is None and error.code < 500 and error.code != 429
                self._name, self._not_before = None, now + CACHE_AGAIN
            except Exception:
                self._name, self._not_before = None, now + CACHE_AGAIN
            return self._name

    def lost(self, name: str) -> None:
        """Forget a cache that ended or was deleted.

        Args:
            name: its name.
        """
        if self._name == name:
            self._name = None

    async def close(self) -> None:
        """Delete what this run made; what can't be deleted ends by itself within the hour."""
        for name in self._own:
            try:
                await self._client.caches.delete(name=name)
            except Exception:
                continue
        self._own.clear()

    async def _find_or_make(self, request: Request) -> None:
        from google.genai import errors

        label = f"distillery-{sha256(f'{self._model} {request.prefix}'.encode()).hexdigest()[:32]}"
        now = datetime.now(UTC)
        async for cache in await self._client.caches.list(config={"page_size": 100}):
            if cache.display_name == label and cache.name and cache.expire_time and cache.expire_time - CACHE_RENEWED > now:
                self._name, self._until = cache.name, cache.expire_time
                return
        config: dict[str, Any] = {"display_name": label, "system_instruction": system_instruction(request), "ttl": _ttl()}
        bill = Besides("the rubric's cache was made", most_tokens(len(request.prefix.encode()), 0, 0), unknown=True)
        request.besides.append(bill)  # before it is asked for: where no answer is awaited, it may have been made
        try:
            made = await self._client.caches.create(model=self._model, config=config)  # type: ignore[arg-type]
        except errors.APIError as error:
            if error.code < 500 and error.code not in (408, 499):  # not taken up
                request.besides.remove(bill)
            raise
        if not made.name:
            raise ValueError("a cache without a name")
        self._own.add(made.name)
        self._name, self._until = made.name, now + CACHE_LIFE
        tokens = made.usage_metadata.total_token_count if made.usage_metadata else None
        if stated := read_usage({"promptTokenCount": tokens, "totalTokenCount": tokens}):
            request.besides[-1] = replace(bill, usage=stated, unknown=False)

    async def _renew(self, name: str) -> None:
        await self._client.caches.update(name=name, config={"ttl": _ttl()})
        self._until = datetime.now(UTC) + CACHE_LIFE


def _ttl() -> str:
    return f"{int(CACHE_LIFE.total_seconds())}s"


def identity(flt: Filter) -> dict[str, Any]:
    """Return what an answer depends on besides the prompt; batch jobs have the same.

    Args:
        flt: the filter.

    Returns:
        Provider, model and parameters.
    """
    return oracle_part(flt)


def connect(flt: Filter) -> Vertex:
    """Connect to Gemini in oracle.project and oracle.location, at oracle.baseUrl where that is set.

    Args:
        flt: the filter.

    Returns:
        The oracle.

    Raises:
        InputError: credentials, project or the client library are missing.
    """
    try:
        import httpx
        from google import genai
        from google.genai import types
    except ImportError:
        raise InputError(
            "the google-genai client is not installed",
            where="spec.oracle.provider",
            hint=install_line("oracle"),
        ) from None
    oracle, who = flt.spec.oracle, account(flt)
    timeout = httpx.Timeout(oracle.timeoutSeconds, connect=min(CONNECT_SECONDS, oracle.timeoutSeconds), pool=None)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30)
    http = httpx.AsyncClient(limits=limits, timeout=timeout, transport=one_each(httpx), follow_redirects=False)
    options = types.HttpOptions(
        base_url=oracle.baseUrl,
        api_version="v1",
        timeout=int(oracle.timeoutSeconds * 1000),
        retry_options=types.HttpRetryOptions(attempts=1),
        httpx_async_client=http,
    )
    client = genai.Client(
        vertexai=True, credentials=who.credentials, project=who.project, location=who.location, http_options=options
    )
    return Vertex(flt, client.aio, http, who)
