"""The records of the journal: an answer, a failed attempt, a dead letter, and a cost that came without a readable reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from distillery.components.labeling.oracles.base import NOTHING, Usage
from distillery.components.store import Digest


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt: why it failed, and what the oracle wrote, None where it wrote nothing."""

    reason: str
    reply: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A label; `usage` and `usd` are the cost of this one reply, earlier failed attempts are lines of their own.

    In every record, dollars without tokens are the worst case of a call whose bill nobody knows.
    """

    article: Digest
    scores: tuple[float, ...]
    content_type: str | None = None
    usage: Usage = NOTHING
    usd: float = 0.0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt that was answered or paid for.

    It is durable before the next one, so a kill gives no article more attempts.
    """

    article: Digest
    attempt: Attempt
    usage: Usage = NOTHING
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An article whose every attempt failed: remembered so that it is not paid for forever; never an answer.

    `usage` and `usd` are the cost of the last attempt.
    """

    article: Digest
    attempts: tuple[Attempt, ...]
    usage: Usage = NOTHING
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A cost that no reply has: of a call whose bill nobody knows, or of what a call needed besides, as a context cache.

    Without `usage`, `usd` is the most that it can have cost.
    """

    article: Digest
    reason: str
    usd: float
    usage: Usage = NOTHING


Record: TypeAlias = Answer | Failure | DeadLetter | GivenUp
