"""The label journal: an answer is durable before it is counted, is never asked for twice, and records what it cost.

There is one journal for each rubric and oracle, `labels/<filter>/<rubric and oracle>/<n>.jsonl`, read by counting up from 0 and
never by a listing. A segment of 64 lines is sealed and never written again. Only the last one grows, by conditional put, so two
writers interleave and neither can overwrite the other. The trade-off: an answer costs one put of at most some 30 KB (5 ms in a
folder, 60 ms and $0.000005 on S3, shared by all that arrive during one put); a kill loses nothing but the calls in flight, and
there is one object for 64 labels. README.md compares it with the alternatives.

What the journal holds is looked up in a scratch file (4 MB of memory, 20 µs a look-up), so half a million labels take no more
memory than a thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, Final

from distillery.components.labeling.oracles.base import NOTHING, Usage
from distillery.components.labeling.records import Answer, Attempt, DeadLetter, Failure, GivenUp, Record
from distillery.components.labeling.scratch_file import ScratchFile
from distillery.components.store import Conflict, Digest, NotFound, Store, canonical_json, digest_bytes, digest_json
from distillery.components.store.layout import journal_folder, journal_segment_key
from distillery.filters.strict_json import loads

SEGMENT_LINES: Final = 64
SEGMENT_BYTES: Final = 512 * 1024  # failures carry raw replies: such a segment is sealed before it has 64 lines
MAX_SEGMENT: Final = 64 * 2**20
READ_AHEAD: Final = 16
TABLES: Final = ("answers", "dead", "failures", "held", "tried")


class Journal:
    """The records of one rubric and oracle; one event loop may `add`.

    Attributes:
        store: the store.
        dimensions: names of the scores, in the order of `Answer.scores`.
        prefix: where the segments lie in the store.
        damaged: lines that were left out when reading.
        records: lines that were read.
        settled: how often an article was settled, by an answer or a dead letter.
        gaps: numbers of segments that are gone, while later ones are there.
        usage: tokens that all runs were billed.
        usd: US dollars that all runs were billed.
        unknown_usd: US dollars that calls of all runs cost at most whose bill nobody knows.
    """

    def __init__(self, store: Store, name: str, *, rubric: Digest, oracle: Digest, dimensions: Sequence[str]) -> None:
        self.store, self.dimensions = store, tuple(dimensions)
        self.prefix = journal_folder(name, digest_json({"rubric": rubric, "oracle": oracle}))
        self.damaged, self.usage, self.usd, self.unknown_usd = 0, NOTHING, 0.0, 0.0
        self.records, self.settled, self.gaps = 0, 0, list[int]()
        self._index = _Index()
        self._taken: dict[int, int] = {}  # bytes of the last segments that are known already
        self._last = 0
        self._waiting: list[tuple[Record, asyncio.Future[None]]] = []
        self._drain: asyncio.Task[None] | None = None
        self._writer = ThreadPoolExecutor(1, "journal")  # one put at a time; a pool of threads holds memory for each
        self.catch_up()

    def answer(self, article: Digest) -> Answer | None:
        """Look up the answer to an article.

        Args:
            article: the article's digest.

        Returns:
            The answer; None where there is none.
        """
        line = self._index.get("answers", article)
        return None if line is None else self._record(loads(line))  # type: ignore[return-value]

    def dead_letter(self, article: Digest) -> DeadLetter | None:
        """Look up the dead letter of an article, durable or held for this run.

        Args:
            article: the article's digest.

        Returns:
            The dead letter; None where there is none.
        """
        line = self._index.get("held", article) or self._index.get("dead", article)
        return None if line is None else self._record(loads(line))  # type: ignore[return-value]

    def hold(self, letter: DeadLetter) -> None:
        """Remember a dead letter for this run only: nothing was answered or paid, so the next run asks again.

        Args:
            letter: the dead letter.
        """
        self._index.put("held", letter.article, self._encode(letter))

    def forget_dead(self, article: Digest) -> None:
        """Hide a dead letter from this run, so that its article is asked about again; the store keeps it.

        Args:
            article: the article's digest.
        """
        self._index.drop("dead", article)

    def tried(self, article: Digest) -> int:
        """Count the attempts that ended in dead letters, those forgotten included.

        Args:
            article: the article's digest.

        Returns:
            The number of attempts.
        """
        return int(self._index.get("tried", article) or b"0")

    def failures(self, article: Digest) -> list[Attempt]:
        """Look up the failed attempts at an article that is neither answered nor dead yet.

        Args:
            article: the article's digest.

        Returns:
            The attempts, oldest first.
        """
        line = self._index.get("failures", article)
        return [] if line is None else [Attempt(one["reason"], one["reply"]) for one in loads(line)]

    def answers(self) -> Iterator[Answer]:
        """Yield all answers, by article.

        Yields:
            Each answer.
        """
        for line in self._index.all("answers"):
            yield self._record(loads(line))  # type: ignore[misc]

    def count(self) -> int:
        """Count the answers.

        Returns:
            How many there are.
        """
        return self._index.count("answers")

    def catch_up(self) -> bool:
        """Read what other runs have written meanwhile.

        Returns:
            True if there was anything.
        """
        known = dict(self._taken)

        def read(number: int) -> bytes | None:
            try:
                return self.store.get(self._key(number), max_bytes=MAX_SEGMENT)
            except NotFound:
                return None

        with ThreadPoolExecutor(READ_AHEAD) as pool:
            for first in count(self._last, READ_AHEAD):
                segments = list(pool.map(read, range(first, first + READ_AHEAD)))
                while segments and segments[-1] is None:
                    segments.pop()
                for number, data in enumerate(segments, first):
                    # A later one is there, so this one was: if a second look doesn't find it, it is lost.
                    if data is None and (data := read(number)) is None:
                        self.gaps.append(number)
                        continue
                    self._last = number
                    self.damaged += self._take(number, data)
                if len(segments) < READ_AHEAD:
                    return self._taken != known
        raise AssertionError("unreachable")

    def close_gaps(self) -> None:
        """Put empty segments where some are gone, so that this is told once; one that is back meanwhile stays."""
        for number in self.gaps:
            with suppress(Conflict):
                self.store.put_if(self._key(number), b"\n", etag=None)
        self.gaps.clear()

    def append(self, records: Iterable[Record]) -> None:
        """Make records durable, then known; what another writer added meanwhile is taken in as well.

        What the journal knows already is not written again: the first answer to an article stays.

        Args:
            records: the records.
        """
        batch: dict[object, Record] = {}
        for record in records:
            key: object = record.article
            if isinstance(record, Failure | GivenUp):
                key = (record.article, record.attempt) if isinstance(record, Failure) else id(record)
            if not isinstance(batch.get(key), Answer):
                batch[key] = record
        pending = list(batch.values())
        while pending := [new for record in pending if (new := self._unwritten(record))]:
            name = self._key(self._last)
            data, etag = self.store.current(name, max_bytes=MAX_SEGMENT) or (b"", None)
            self._take(self._last, data)
            lines = data.count(b"\n")
            if lines >= SEGMENT_LINES or len(data) >= SEGMENT_BYTES:
                self._last += 1
                continue
            if data and not data.endswith(b"\n"):
                data += b"\n"  # a torn line stays alone; its label is asked again
            pending = [new for record in pending if (new := self._unwritten(record))]
            fitting = pending[: SEGMENT_LINES - lines]
            if not fitting:
                continue
            data += b"".join(map(self._encode, fitting))
            try:
                self.store.put_if(name, data, etag=etag)
            except Conflict:
                continue
            self._take(self._last, data)
            pending = pending[len(fitting) :]

    async def add(self, record: Record) -> None:
        """Add a record; return once it is durable. Records that arrive during a put share the next one.

        Args:
            record: the record.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, durable))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._write())
        await durable

    async def settle(self) -> None:
        """Return once nothing waits to be written."""
        if self._drain is not None:
            await self._drain

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # those who answered in the same tick come along
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.get_running_loop().run_in_executor(self._writer, self.append, [record for record, _ in batch])
            except Exception as error:
                for _, durable in batch:
                    if not durable.done():
                        durable.set_exception(error)
            else:
                for _, durable in batch:
                    if not durable.done():
                        durable.set_result(None)

    def _key(self, number: int) -> str:
        return journal_segment_key(self.prefix, number)

    def _unwritten(self, record: Record) -> Record | None:
        """Return what is left to write of a record: nothing where it is known, only the cost where another run was faster."""
        if isinstance(record, Failure | GivenUp):
            return record
        known = self._index.get("answers", record.article) is not None
        if known or (isinstance(record, DeadLetter) and self.dead_letter(record.article) == record):
            paid = record.usage or record.usd
            return Failure(record.article, Attempt("another run was faster", None), record.usage, record.usd) if paid else None
        return record

    def _take(self, number: int, data: bytes) -> int:
        """Learn a segment's new records; return how many of its lines are torn or damaged and count as absent."""
        damaged, known = 0, self._taken.get(number, 0)
        if known > len(data):
            known = 0  # somebody mended the file; what is known stays known
        for line in data[known:].splitlines():
            try:
                fields = loads(line)
                if fields.pop("check") != _check(fields):
                    raise ValueError("the line is not what was written")
                self._learn(self._record(fields), line)
                self.records += 1
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                damaged += bool(line.strip())
        self._taken = {one: size for one, size in self._taken.items() if one >= number - 1} | {number: len(data)}
        return damaged

    def _learn(self, record: Record, line: bytes) -> None:
        self.usage = self.usage + record.usage
        if record.usage:
            self.usd += record.usd
        else:
            self.unknown_usd += record.usd
        self.settled += isinstance(record, Answer | DeadLetter)
        index, article = self._index, record.article
        answered = index.get("answers", article) is not None
        if isinstance(record, Failure) and not answered:
            earlier = loads(index.get("failures", article) or b"[]")
            one = {"reason": record.attempt.reason, "reply": record.attempt.reply}
            index.put("failures", article, canonical_json([*earlier, one]))
        elif isinstance(record, DeadLetter):
            index.drop("failures", article)
            index.put("tried", article, b"%d" % (self.tried(article) + len(record.attempts)))
            if not answered:
                index.put("dead", article, line)
        elif isinstance(record, Answer) and not answered:
            index.put("answers", article, line)
            index.drop("dead", article)
            index.drop("failures", article)

    def _encode(self, record: Record) -> bytes:
        fields: dict[str, Any] = {"article": record.article}
        if isinstance(record, Answer):
            fields["scores"] = dict(zip(self.dimensions, record.scores, strict=True))
            fields["content_type"] = record.content_type
            if record.version:
                fields["version"] = record.version
        elif isinstance(record, DeadLetter):
            fields["attempts"] = [{"reason": attempt.reason, "reply": attempt.reply} for attempt in record.attempts]
        elif isinstance(record, GivenUp):
            fields["given_up"] = record.reason
        else:
            fields["failed"] = {"reason": record.attempt.reason, "reply": record.attempt.reply}
        if record.usage:
            fields["tokens"] = [record.usage.input_tokens, record.usage.cached_tokens, record.usage.output_tokens]
        if record.usage or record.usd:
            fields["usd"] = record.usd
        return canonical_json({**fields, "check": _check(fields)}) + b"\n"

    def _record(self, fields: dict[str, Any]) -> Record:
        article = Digest(fields["article"])
        usage, usd = Usage(*map(int, fields.get("tokens", ()))), float(fields.get("usd", 0))
        if "given_up" in fields:
            return GivenUp(article, str(fields["given_up"]), usd, usage)
        if "failed" in fields:
            return Failure(article, Attempt(fields["failed"]["reason"], fields["failed"]["reply"]), usage, usd)
        if "attempts" in fields:
            attempts = tuple(Attempt(one["reason"], one["reply"]) for one in fields["attempts"])
            return DeadLetter(article, attempts, usage, usd)
        scores = tuple(float(fields["scores"][name]) for name in self.dimensions)
        return Answer(article, scores, fields["content_type"], usage, usd, str(fields.get("version", "")))


class _Index:
    """Lines of the journal by table and article, on disk."""

    def __init__(self) -> None:
        self._file = ScratchFile(
            *(f"CREATE TABLE {table} (article BLOB PRIMARY KEY, line BLOB) WITHOUT ROWID" for table in TABLES)
        )
        self._used = set[str]()  # tables that may have rows: most runs have no failure, and look for one at each step

    def get(self, table: str, article: Digest) -> bytes | None:
        if table not in self._used:
            return None
        rows = self._file.rows(f"SELECT line FROM {table} WHERE article = ?", bytes.fromhex(article))
        return bytes(rows[0][0]) if rows else None

    def put(self, table: str, article: Digest, line: bytes) -> None:
        self._used.add(table)
        self._file.change(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", bytes.fromhex(article), line)

    def drop(self, table: str, article: Digest) -> None:
        self._file.change(f"DELETE FROM {table} WHERE article = ?", bytes.fromhex(article))

    def count(self, table: str) -> int:
        return int(self._file.rows(f"SELECT count(*) FROM {table}")[0][0])

    def all(self, table: str) -> Iterator[bytes]:
        last = b""
        while rows := self._file.rows(f"SELECT article, line FROM {table} WHERE article > ? ORDER BY article LIMIT 500", last):
            for article, line in rows:
                last = article
                yield bytes(line)


def _check(fields: dict[str, Any]) -> str:
    return digest_bytes(canonical_json(fields))[:16]
