"""What every oracle has in common: a prompt goes in, the raw reply comes out, and nothing is believed yet.

A provider is one file with `identity(flt)` and `connect(flt)`, and one class behind `Oracle`. It makes one call and says
what came of it in one of the five errors below; retries, pauses, limits, deadlines and money are the engine's, once for all
providers (so a client library's own retries are switched off).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, runtime_checkable

from distillery.components.articles.articles import Article
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PROVIDERS: Final[Mapping[str, str]] = {
    "replay": "distillery.components.labeling.oracles.replay",
    "openai": "distillery.components.labeling.oracles.openai",
    "vertex": "distillery.components.labeling.oracles.vertex",
    "vertex-batch": "distillery.components.labeling.oracles.vertex_batch",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed; `cached_tokens` is part of `input_tokens`, thinking is part of `output_tokens`."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
        )

    def __bool__(self) -> bool:
        return bool(self.input_tokens or self.output_tokens)


NOTHING: Final = Usage()


@dataclass(frozen=True, slots=True)
class Request:
    """attempt: 1 for the first try at this article. prefix: the same for every article, so that it can be cached."""

    article: Article
    prefix: str
    part: str
    attempt: int

    @property
    def prompt(self) -> str:
        return self.prefix + self.part


@dataclass(frozen=True, slots=True)
class RawReply:
    """finish: stop, length (cut at the token limit), blocked, or other. version: the model version that answered."""

    text: str
    usage: Usage = NOTHING
    finish: str = "stop"
    version: str = ""


class OracleError(RuntimeError):
    """The oracle gave no reply; the attempt counts as failed, and the message says why. usage: what was billed all the same.

    unknown: the request went out and nothing came back, so it may have been billed.
    """

    def __init__(self, message: str, *, usage: Usage = NOTHING, unknown: bool = False) -> None:
        super().__init__(message)
        self.usage, self.unknown = usage, unknown


class RateLimited(OracleError):
    """429: no attempt at the article; fewer calls at once from here on. retry_after: seconds, where the oracle says so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(OracleError):
    """5xx, no connection, a deadline: asked again after a pause, an attempt only when that was in vain several times."""


class Refused(OracleError):
    """This article is refused (400 for this request, a safety block): an attempt."""


class OutOfCredit(OracleError):
    """402, 403 for billing, a quota used up: the run stops at once and keeps everything."""


class Oracle(Protocol):
    @property
    def identity(self) -> Mapping[str, Any]:
        """What an answer depends on besides the prompt (provider, model, parameters), as JSON: part of every label's key.

        Not where or how fast it is asked: no base URL, key, limits or budget.
        """

    async def ask(self, request: Request) -> RawReply:
        """One call, no retry. Cancelled at the deadline, so it must let go of its connection. OracleError: no reply.

        InputError (a key refused, a model unknown) ends the run.
        """

    async def close(self) -> None:
        """Lets go of connections."""


@runtime_checkable
class BatchOracle(Protocol):
    """Answers many requests by a job; replies come in any order, each once, matched by the article's digest."""

    @property
    def identity(self) -> Mapping[str, Any]: ...

    async def run(
        self,
        requests: AsyncIterator[Request] | Iterable[Request],
        on_reply: Callable[[Request, RawReply | OracleError], Awaitable[None]],
    ) -> None:
        """Returns when every request was given to `on_reply`, which makes the outcome durable."""

    async def close(self) -> None: ...


def _provider(flt: Filter) -> Any:
    name = flt.spec.oracle.provider
    if name not in PROVIDERS:
        raise InputError(
            f"{name!r} is not a provider", where="spec.oracle.provider", hint=f"choose one of {', '.join(PROVIDERS)}"
        )
    return import_module(PROVIDERS[name])


def oracle_identity(flt: Filter) -> dict[str, Any]:
    """What the filter's oracle will give as its identity; cheap, asks nothing. InputError where it can't be had."""
    identity: dict[str, Any] = _provider(flt).identity(flt)
    return identity


def open_oracle(flt: Filter) -> Oracle:
    """The oracle that the filter names. InputError where it can't be had (no key in the environment, no recordings)."""
    oracle: Oracle = _provider(flt).connect(flt)
    return oracle
