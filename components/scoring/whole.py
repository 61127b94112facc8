"""Tells whether parts are there and whole: by the objects themselves, never by a note that somebody was done with them.

A part is whole where its facts can be read, its bytes are the ones that the facts name, and its bad rows are listed. The cost:
a small read and one request for a part's etag, 16 parts at a time. Bytes are read and digested where the etag is another than
was noted when the part was written, and in a folder of this machine, whose etags are digests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from distillery.components.artifacts.document import MAX_DOCUMENT
from distillery.components.artifacts.scores import ANOTHER, Facts, Scores
from distillery.components.scoring.plan import Plan
from distillery.components.store import Json, NotFound, Store, StoreError, digest_stream
from distillery.components.store.layout import REJECTS, SUCCESS, part_facts_key, part_rejects_key
from distillery.filters.strict_json import loads


class Part(NamedTuple):
    """What has become of a part.

    Attributes:
        number: its number, from 0.
        facts: what was noted of it; None where nothing was, or that can't be read.
        fault: what is lost or damaged, in words; "" where nothing is, so also where the part was never begun.
        altered: True if its bytes are not the ones that its facts or _SUCCESS name.
        done: True if it is whole, and nothing of it has to be done again.
    """

    number: int
    facts: Facts | None
    fault: str
    altered: bool
    done: bool


class Ended(NamedTuple):
    """What _SUCCESS says. scores: None where it is not there or can't be read. etag: None where it is not there."""

    scores: Scores | None
    etag: str | None


def read_success(out: Store, job: str) -> Ended:
    """Return what _SUCCESS says; one that can't be read counts as absent, and is written anew.

    Args:
        out: where the scores are.
        job: digest of the job.

    Returns:
        The document, and its version.

    Raises:
        StoreError: it is of another job, or the store is at fault.
    """
    where, version = f"{out.uri}/{SUCCESS}", out.current(SUCCESS)
    if version is None:
        return Ended(None, None)
    try:
        scores = Scores.read(version[0], where)
    except StoreError:
        return Ended(None, version[1])
    if scores.job != job:
        raise StoreError("is of another job", where=where, hint=ANOTHER)
    return Ended(scores, version[1])


def look_at(out: Store, plan: Plan, index: int, ended: Scores | None = None) -> Part:
    """Return what has become of a part.

    Args:
        out: where the scores are.
        plan: what is scored.
        index: number of the part.
        ended: what _SUCCESS says, if the bad rows that it counts are all there.

    Returns:
        The part.

    Raises:
        StoreError: its facts are of another job, or the store is at fault.
    """
    name, key = plan.part(index), part_facts_key(index)
    version = out.current(key, max_bytes=MAX_DOCUMENT)
    facts = _facts(out, plan, index, version[0]) if version else None
    lost = "" if facts or not version else f"the facts of {name} can't be read"
    named = ended.parts[index].sha256 if ended else None
    wanted = facts.sha256 if facts else named
    if wanted is None:
        return Part(index, None, lost, altered=False, done=False)
    fault, altered = _bytes_fault(out, name, wanted, facts.etag if facts else "")
    if not fault and facts and ended is None and not _lists(out, part_rejects_key(index), facts.rejected, facts.rejects):
        fault = f"the bad rows of {name} are lost"
    return Part(index, facts, fault, altered, done=not fault)


def look_at_all(out: Store, plan: Plan, indexes: Iterable[int], ended: Scores | None = None) -> Iterator[Part]:
    """Yield what has become of many parts, 16 at a time.

    Args:
        out: where the scores are.
        plan: what is scored.
        indexes: numbers of the parts.
        ended: as `look_at`.

    Yields:
        The parts, in the order asked for.

    Raises:
        StoreError: as `look_at`.
    """
    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(lambda index: look_at(out, plan, index, ended), indexes)


def lists_rejects(out: Store, scores: Scores) -> bool:
    """True if _rejects.jsonl is the list that _SUCCESS means.

    Args:
        out: where the scores are.
        scores: what _SUCCESS says.

    Returns:
        Whether it is; also where no row was bad.
    """
    return _lists(out, REJECTS, scores.rejected, scores.rejects)


def read_rejects(out: Store, index: int) -> list[tuple[int, int, str]]:
    """Return the bad rows of a part, as `score_part` listed them.

    Args:
        out: where the scores are.
        index: number of the part.

    Returns:
        Number of the file, line in the part's stretch of it, and reason, of each.

    Raises:
        NotFound: the list is not there, or not whole.
    """
    key = part_rejects_key(index)
    data = out.get(key)
    try:
        return [_reject(loads(line)) for line in data.splitlines()]
    except (ValueError, RecursionError) as error:
        raise NotFound(key) from error


def _reject(value: Json) -> tuple[int, int, str]:
    number, line, reason = value if isinstance(value, list) and len(value) == 3 else (None, None, None)
    if type(number) is not int or type(line) is not int or not isinstance(reason, str):
        raise ValueError("is no row that was left out")
    return number, line, reason


def _facts(out: Store, plan: Plan, index: int, data: bytes) -> Facts | None:
    """Return facts; None where they are torn or of another form, and StoreError where they are another job's."""
    where = f"{out.uri}/{part_facts_key(index)}"
    if (job := _job_of(data)) not in ("", plan.job):
        raise StoreError(f"is of another job ({job[:12]})", where=where, hint=ANOTHER)
    try:
        facts = Facts.read(data, where)
    except StoreError:
        return None
    files = range(len(plan.corpus.files))
    return facts if facts.index == index and all(number in files for number, _ in facts.lines) else None


def _job_of(data: bytes) -> str:
    """Return the job that facts name, whatever else is wrong with them; "" where they name none."""
    try:
        fields = loads(data)
    except (ValueError, RecursionError):
        return ""
    job = fields.get("job") if isinstance(fields, dict) else None
    return job if isinstance(job, str) and re.fullmatch(r"[0-9a-f]{64}", job) else ""


def _bytes_fault(out: Store, name: str, sha256: str, noted: str) -> tuple[str, bool]:
    """Return what is wrong with the bytes of a part, "" for nothing, and whether they are others than these."""
    etag = out.etag(name)
    if etag is None:
        return f"{name} is gone", False
    if etag in (sha256, noted):
        return "", False
    try:
        with out.open(name) as stream:
            found = digest_stream(stream)
    except NotFound:
        return f"{name} is gone", False
    return ("", False) if found == sha256 else (f"{name} was damaged or altered", True)


def _lists(out: Store, key: str, count: int, sha256: str) -> bool:
    """True if an object is the list of so many bad rows, by its digest where that is known; also where there are none."""
    if not count:
        return True
    try:
        with out.open(key) as stream:
            if sha256:
                return digest_stream(stream) == sha256
            return sum(isinstance(loads(line), list | dict) for line in stream) == count
    except StoreError:
        raise
    except (NotFound, ValueError, RecursionError):
        return False
