"""What every oracle has in common: a prompt goes in, the raw reply comes out, and nothing is believed yet.

A provider is one file with one class behind `Oracle`. Asking is asynchronous so that hundreds of calls wait on one
thread; an oracle that answers from memory simply never waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from components.articles import Article
from filters.spec import Filter


@dataclass(frozen=True, slots=True)
class Request:
    """attempt: 1 for the first try at this article."""

    article: Article
    prompt: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RawReply:
    text: str


class OracleError(RuntimeError):
    """The oracle gave no reply; the attempt counts as failed, and the message says why."""


class Oracle(Protocol):
    @property
    def identity(self) -> Mapping[str, Any]:
        """What an answer depends on besides the prompt (provider, model, parameters), as JSON: part of every label's key."""

    async def ask(self, request: Request) -> RawReply:
        """One call. OracleError where no reply came."""


def oracle_identity(flt: Filter) -> dict[str, Any]:
    """What the filter's oracle will give as its identity; cheap, asks nothing. InputError where it can't be had."""
    from components.labeling.replay import identity

    return identity(flt)  # the one provider so far, held by the filter's schema


def open_oracle(flt: Filter) -> Oracle:
    """The oracle that the filter names. InputError where it can't be had."""
    from components.labeling.replay import open_replay

    return open_replay(flt)
