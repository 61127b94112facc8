"""The replay oracle: raw replies recorded earlier, so that the whole path runs without a key.

The recordings are held in memory, about their own size: 10,000 replies of 2 KB take 25 MB.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distillery.components.articles.cells import short_text
from distillery.components.articles.input_files import local_file
from distillery.components.articles.readers import read_rows
from distillery.components.labeling.oracles.base import OracleError, RawReply, Request
from distillery.components.store import digest_file
from distillery.filters.digests import oracle_part
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


class Replay:
    """Answers the n-th attempt at an article with its n-th recorded reply; `replies` are by article digest or "id <id>"."""

    def __init__(self, identity: Mapping[str, Any], replies: Mapping[str, list[str]]) -> None:
        self.identity = identity
        self._replies = replies

    async def ask(self, request: Request) -> RawReply:
        """Look up the recorded reply.

        Args:
            request: the question.

        Returns:
            The reply.

        Raises:
            OracleError: none is recorded for this attempt.
        """
        article = request.article
        recorded = self._replies.get(article.digest) or self._replies.get(f"id {article.id}")
        if not recorded:
            raise OracleError("no reply is recorded for this article")
        if request.attempt > len(recorded):
            raise OracleError("no further reply is recorded for this article")
        return RawReply(recorded[request.attempt - 1])

    async def close(self) -> None:
        """Do nothing: there is no connection."""
        pass


def identity(flt: Filter) -> dict[str, Any]:
    """Return what an answer depends on besides the prompt; other recordings are another oracle.

    Args:
        flt: the filter.

    Returns:
        Provider, model and parameters, and the digest of the recordings.

    Raises:
        InputError: there are no recordings.
    """
    with _recordings(flt) as path:
        return {**oracle_part(flt), "replies": digest_file(path)}


def connect(flt: Filter, repetition: int = 1) -> Replay:
    """Read the recordings at `oracle.replies`: JSONL (.gz) of {"id" or "article": digest, "reply", "attempt"?, "repeat"?}.

    Args:
        flt: the filter.
        repetition: which of several recordings of the same question answers, where noise is measured; another one is another
            oracle.

    Returns:
        The oracle.

    Raises:
        InputError: the file or a row of it can't be used.
    """
    with _recordings(flt) as path:
        known = identity(flt) if repetition == 1 else {**identity(flt), "repetition": repetition}
        replies = _read(path, repetition)
        if repetition > 1 and not replies:
            raise InputError(f'no reply is recorded with "repeat": {repetition}', where=str(path), hint="lower --repeat")
        return Replay(known, replies)


def _recordings(flt: Filter) -> AbstractContextManager[Path]:
    if not flt.spec.oracle.replies:
        raise InputError(
            "the replay oracle has no recorded replies",
            where="spec.oracle.replies",
            hint="add {overrides} oracle.replies=FILE with recorded replies, or give {labels}",
        )
    return local_file(flt.spec.oracle.replies, parameter="oracle.replies")


def _key(row: dict[str, Any], where: str) -> str | None:
    """Return what a recorded reply answers: an article's digest, or "id " and an id as articles have it; None for neither."""
    if isinstance(row.get("article"), str):
        return str(row["article"])
    try:
        return f"id {named}" if (named := short_text(row.get("id"))) else None
    except ValueError as error:
        raise InputError(f"its id {error}", where=where, hint="give the id that the article has") from None


def _read(path: Path, repetition: int = 1) -> dict[str, list[str]]:
    recorded: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for line, row, fault in read_rows(path, frozenset({"id", "article", "reply", "attempt", "repeat", "content"})):
        where = f"{path}:{line}"
        if row is None:
            raise InputError(fault, where=where, hint="mend or remove the line")
        key = _key(row, where)
        if key is None or not isinstance(row.get("reply"), str):
            raise InputError("is not a recorded reply", where=where, hint='write {"id": …, "reply": "the raw text"}')
        repeat = 1 if row.get("repeat") is None else row["repeat"]
        if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
            raise InputError(f"repeat {repeat!r} is not a number from 1 on", where=where, hint='write "repeat": 2')
        if repeat != repetition:
            continue
        attempt = len(recorded[key]) + 1 if row.get("attempt") is None else row["attempt"]
        if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1 or attempt in recorded[key]:
            raise InputError(
                f"attempt {attempt!r} is not a new number from 1 on",
                where=where,
                hint="number the attempts at an article 1, 2, 3",
            )
        recorded[key][attempt] = row["reply"]
    return {key: [attempts[number] for number in sorted(attempts)] for key, attempts in recorded.items()}
