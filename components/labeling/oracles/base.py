"""The contract of an oracle: a prompt goes in, the raw reply comes out, and nothing is believed yet.

An oracle is one file with `identity(flt)`, `connect(flt)` and a class that satisfies `Oracle`. It makes one call and reports a
failure as one of the five errors below. Retries, pauses, limits, deadlines and money are the engine's, once for all oracles, so
a client library's own retries are switched off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Protocol, runtime_checkable

from distillery.components.articles.articles import Article
from distillery.components.labeling.oracles.hosts import require_host
from distillery.components.labeling.oracles.keys import NO_KEY, Key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PROVIDERS: Final[Mapping[str, str]] = {
    "replay": "distillery.components.labeling.oracles.replay",
    "openai": "distillery.components.labeling.oracles.openai",
    "openai-batch": "distillery.components.labeling.oracles.openai_batch",
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
class Besides:
    """What a call was billed besides its reply, such as the making of a context cache.

    Attributes:
        what: what it was billed for.
        usage: the tokens; where they are unknown, the most that they can be.
        unknown: whether nobody says what was billed, so that the worst case counts.
    """

    what: str
    usage: Usage
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A question about one article.

    Attributes:
        article: the article.
        prefix: the part of the prompt that is the same for every article, so that it can be cached.
        part: the part of the prompt that holds the article.
        attempt: 1 for the first try at this article.
        besides: what else calls for this request were billed. An oracle writes here before it asks for something that costs, so
            that it counts whatever becomes of the call: a reply without a bill, an error, a deadline. The ledger takes it.
    """

    article: Article
    prefix: str
    part: str
    attempt: int
    besides: list[Besides] = field(default_factory=list, compare=False, repr=False)

    @property
    def prompt(self) -> str:
        """The whole prompt."""
        return self.prefix + self.part


@dataclass(frozen=True, slots=True)
class RawReply:
    """What the oracle wrote.

    Attributes:
        text: the reply, unread.
        usage: tokens as billed; None where the service does not say, so that the call counts at its worst case.
        finish: stop, length (cut at the token limit), blocked, or other.
        version: the version of the model that answered.
        key: the key that the call was made with, to be hidden wherever a part of the reply is stored or printed. The text
            itself is read as it came: a key of "none" would rewrite it.
    """

    text: str
    usage: Usage | None = None
    finish: str = "stop"
    version: str = ""
    key: Key = NO_KEY

    def __repr__(self) -> str:
        return self.key.hidden(f"RawReply({self.text!r}, {self.usage!r}, {self.finish!r}, {self.version!r})")


class OracleError(RuntimeError):
    """The oracle gave no reply: the attempt counts as failed, and the message says why.

    Attributes:
        usage: what was certainly billed all the same.
        unknown: whether more may have been billed, and nobody says how much; the call then counts at its worst case.
        retry_after: seconds after which the service wants to be asked again; None where it does not say.
        booked: what the engine counts for the call, in US dollars.
    """

    booked = 0.0

    def __init__(
        self, message: str, *, usage: Usage = NOTHING, unknown: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.usage, self.unknown, self.retry_after = usage, unknown, retry_after


class RateLimited(OracleError):
    """429: no attempt at the article, and not billed; asked again after a pause."""


class Unavailable(OracleError):
    """5xx, no connection, or a deadline: asked again after a pause, and a failed attempt only after several such calls."""


class Refused(OracleError):
    """The oracle refuses this article (400 for this request, a safety block): a failed attempt."""


class OutOfCredit(OracleError):
    """402, 403 for billing, or a quota used up: the run stops at once and keeps everything."""


class Oracle(Protocol):
    """Answers requests one by one."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What an answer depends on besides the prompt (provider, model, parameters), as JSON: part of every label's key.

        It holds nothing of where or how fast the oracle is asked: no base URL, key, limits or budget.
        """

    async def ask(self, request: Request) -> RawReply:
        """Make one call, without retry. It is cancelled at the deadline, so it must let go of its connection then.

        Args:
            request: the question; whatever costs besides the reply is noted in its `besides`.

        Returns:
            The reply as it was written.

        Raises:
            OracleError: there is no reply.
            InputError: the key is refused or the model unknown, which ends the run.
        """

    async def close(self) -> None:
        """Close the connections."""


OnReply = Callable[[Request, RawReply | OracleError], Awaitable[None]]
Note = Callable[[str], None]


def silent(line: str) -> None:
    """Tell nobody.

    Args:
        line: a line for people.
    """


@runtime_checkable
class BatchOracle(Protocol):
    """Answers many requests by a job; replies come in any order, each once, matched by the article's digest."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """As `Oracle.identity`."""

    async def run(self, requests: AsyncIterator[Request] | Iterable[Request], on_reply: OnReply, note: Note = silent) -> None:
        """Return when every request was given to `on_reply`.

        Args:
            requests: the questions.
            on_reply: takes a request with its reply or the reason why there is none, and makes it durable.
            note: takes a line for people: which job is waited for, and how far it is.
        """

    async def close(self) -> None:
        """Close the connections."""


@runtime_checkable
class Remote(Protocol):
    """An oracle that answers over a network."""

    async def reach(self) -> None:
        """Connect and ask nothing that costs; whatever the service answers, it is reached.

        Raises:
            Unavailable: no connection can be had, so nothing can be sent.
        """


def _provider(flt: Filter) -> Any:
    name = flt.spec.oracle.provider
    if name not in PROVIDERS:
        raise InputError(
            f"{name!r} is not a provider", where="spec.oracle.provider", hint=f"choose one of {', '.join(PROVIDERS)}"
        )
    return import_module(PROVIDERS[name])


def oracle_identity(flt: Filter) -> dict[str, Any]:
    """Return what the answers of the filter's oracle depend on; nothing is asked.

    Args:
        flt: the filter.

    Returns:
        The identity, as JSON.

    Raises:
        InputError: the oracle can't be had.
    """
    identity: dict[str, Any] = _provider(flt).identity(flt)
    return identity


def open_oracle(flt: Filter) -> Oracle:
    """Open the oracle that the filter names.

    Args:
        flt: the filter.

    Returns:
        The oracle.

    Raises:
        InputError: it can't be had: no key in the environment, no recordings, or an endpoint that this place does not allow.
    """
    require_host(flt)
    oracle: Oracle = _provider(flt).connect(flt)
    return oracle
