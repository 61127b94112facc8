"""The label journal: an answer is durable before it is counted, and never asked for twice.

One journal per rubric and oracle, `labels/<name>/<label-key prefix>/<n>.jsonl`, found by counting up from 0 and never by
a listing. A segment of 64 lines is sealed and never written again; only the last one grows, by conditional put, so two
writers interleave and neither can overwrite the other. The trade-off: an answer costs one put of at most some 25 KB
(5 ms in a folder, 30 ms and $0.000005 on S3, shared by all that arrive while one put is under way), for a loss of nothing
but the calls in flight, and one object per 64 labels. README.md says what was weighed against it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from components.store import Conflict, Digest, NotFound, Store, canonical_json, digest_bytes, digest_json

SEGMENT_LINES: Final = 64
SEGMENT_BYTES: Final = 512 * 1024  # dead letters carry raw replies: such a segment is sealed before it has 64 lines
MAX_SEGMENT: Final = 64 * 2**20
READ_AHEAD: Final = 16


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt: why, and what the oracle wrote, None where it wrote nothing."""

    reason: str
    reply: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    article: Digest
    scores: tuple[float, ...]
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An article whose every attempt failed. Remembered so that it is not paid for ever; never an answer."""

    article: Digest
    attempts: tuple[Attempt, ...]


class Journal:
    """The answers and dead letters of one rubric and oracle, in memory and in the store. One event loop may `add`.

    dimensions: names of the scores, in the order of `Answer.scores`. damaged: lines that were left out when reading.
    """

    def __init__(self, store: Store, name: str, *, rubric: Digest, oracle: Digest, dimensions: Sequence[str]) -> None:
        self.store, self.dimensions = store, tuple(dimensions)
        self.prefix = f"labels/{name}/{digest_json({'rubric': rubric, 'oracle': oracle})}"
        self.answers: dict[Digest, Answer] = {}
        self.dead: dict[Digest, DeadLetter] = {}
        self.damaged = 0
        self._last = 0
        self._waiting: list[tuple[Answer | DeadLetter, asyncio.Future[None]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._load()

    def _load(self) -> None:
        def read(number: int) -> bytes | None:
            try:
                return self.store.get(self._key(number), max_bytes=MAX_SEGMENT)
            except NotFound:
                return None

        with ThreadPoolExecutor(READ_AHEAD) as pool:
            for first in count(0, READ_AHEAD):
                for number, data in enumerate(pool.map(read, range(first, first + READ_AHEAD)), first):
                    if data is None:
                        return
                    self._last = number
                    self.damaged += self._take(data)

    def append(self, records: Iterable[Answer | DeadLetter]) -> None:
        """Makes the records durable, then known. Another writer's records met on the way are taken in as well.

        What the journal knows already is not written again: the first answer to an article stays.
        """
        batch: dict[Digest, Answer | DeadLetter] = {}
        for record in records:
            if not isinstance(batch.get(record.article), Answer):
                batch[record.article] = record
        pending = list(batch.values())
        while pending := [record for record in pending if not self._knows(record)]:
            key = self._key(self._last)
            data, etag = self.store.current(key, max_bytes=MAX_SEGMENT) or (b"", None)
            self._take(data)
            lines = data.count(b"\n")
            if lines >= SEGMENT_LINES or len(data) >= SEGMENT_BYTES:
                self._last += 1
                continue
            if data and not data.endswith(b"\n"):
                data += b"\n"  # a torn line stays alone; its label is asked again
            fitting = [record for record in pending if not self._knows(record)][: SEGMENT_LINES - lines]
            if not fitting:
                continue
            try:
                self.store.put_if(key, data + b"".join(map(self._encode, fitting)), etag=etag)
            except Conflict:
                continue
            for record in fitting:
                self._know(record)

    async def add(self, record: Answer | DeadLetter) -> None:
        """Returns once the record is durable. Records that arrive while a put is under way share the next one."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, durable))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._write())
        await durable

    async def settle(self) -> None:
        """Returns once nothing waits to be written."""
        if self._drain is not None:
            await self._drain

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # those who answered in the same tick come along
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self.append, [record for record, _ in batch])
            except Exception as error:
                for _, durable in batch:
                    if not durable.done():
                        durable.set_exception(error)
            else:
                for _, durable in batch:
                    if not durable.done():
                        durable.set_result(None)

    def _key(self, number: int) -> str:
        return f"{self.prefix}/{number:06d}.jsonl"

    def _knows(self, record: Answer | DeadLetter) -> bool:
        return record.article in self.answers or self.dead.get(record.article) == record

    def _know(self, record: Answer | DeadLetter) -> None:
        if isinstance(record, DeadLetter):
            if record.article not in self.answers:
                self.dead[record.article] = record
        else:
            self.answers.setdefault(record.article, record)
            self.dead.pop(record.article, None)

    def _take(self, data: bytes) -> int:
        """Learns a segment's records; returns how many of its lines are torn or damaged and count as not there."""
        damaged = 0
        for line in data.splitlines():
            try:
                self._know(self._decode(line))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                damaged += 1
        return damaged

    def _encode(self, record: Answer | DeadLetter) -> bytes:
        fields: dict[str, Any] = {"article": record.article}
        if isinstance(record, Answer):
            fields["scores"] = dict(zip(self.dimensions, record.scores, strict=True))
            fields["content_type"] = record.content_type
        else:
            fields["attempts"] = [{"reason": attempt.reason, "reply": attempt.reply} for attempt in record.attempts]
        return canonical_json({**fields, "check": _check(fields)}) + b"\n"

    def _decode(self, line: bytes) -> Answer | DeadLetter:
        fields = json.loads(line)
        if fields.pop("check") != _check(fields):
            raise ValueError("the line is not what was written")
        article = Digest(fields["article"])
        if "attempts" in fields:
            return DeadLetter(article, tuple(Attempt(one["reason"], one["reply"]) for one in fields["attempts"]))
        return Answer(article, tuple(float(fields["scores"][name]) for name in self.dimensions), fields["content_type"])


def _check(fields: dict[str, Any]) -> str:
    return digest_bytes(canonical_json(fields))[:16]
