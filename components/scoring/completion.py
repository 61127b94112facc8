"""What has become of a scoring, decided by keys and never by a listing; and its end, written once every part is there.

Whoever finishes reads one small object a part (16 at a time: some 5,000 in 10 s), never the parts.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distillery.components.artifacts.scores import ANOTHER, Facts, ScoredPart, Scores
from distillery.components.scoring.plan import Plan
from distillery.components.store import Conflict, NotFound, Store, StoreError
from distillery.components.store.layout import REJECTS, SUCCESS, part_facts_key, part_rejects_key
from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads


def facts_of(out: Store, index: int, job: str) -> Facts | None:
    """Return the facts of a part.

    Args:
        out: where the scores are.
        index: number of the part, from 0.
        job: digest of the job.

    Returns:
        The facts; None where the part is not done.

    Raises:
        StoreError: the facts are another job's, or cannot be read.
    """
    key = part_facts_key(index)
    try:
        facts = Facts.load(out, key)
    except NotFound:
        return None
    if facts.job != job:
        raise StoreError(f"is of another job ({facts.job[:12]})", where=f"{out.uri}/{key}", hint=ANOTHER)
    return facts


def all_facts(out: Store, indexes: Iterable[int], job: str) -> Iterator[tuple[int, Facts | None]]:
    """Yield the facts of many parts, read 16 at a time.

    Args:
        out: where the scores go.
        indexes: numbers of the parts.
        job: digest of the job.

    Yields:
        (number, facts) pairs in the order asked for; None where a part isn't done.

    Raises:
        StoreError: facts are another job's, or no facts.
    """
    with ThreadPoolExecutor(16) as pool:
        wanted = list(indexes)
        yield from zip(wanted, pool.map(lambda index: facts_of(out, index, job), wanted), strict=True)


def missing(out: Store, plan: Plan) -> list[int]:
    """Return the parts that are not committed.

    Args:
        out: where the scores go.
        plan: what is scored.

    Returns:
        Numbers of the parts.
    """
    if success(out, plan.job):
        return []
    return [index for index, facts in all_facts(out, range(plan.shards), plan.job) if facts is None]


def success(out: Store, job: str) -> Scores | None:
    """Return what _SUCCESS says.

    Args:
        out: where the scores are.
        job: digest of the job.

    Returns:
        The document; None before it is written.

    Raises:
        StoreError: it is of another job, or cannot be read.
    """
    try:
        scores = Scores.load(out, SUCCESS)
    except NotFound:
        return None
    if scores.job != job:
        raise StoreError("is of another job", where=f"{out.uri}/{SUCCESS}", hint=ANOTHER)
    return scores


def finish(out: Store, plan: Plan) -> Scores:
    """Write _rejects.jsonl and _SUCCESS once every part is there; doing it again changes nothing.

    Args:
        out: where the scores are.
        plan: what is scored.

    Returns:
        What _SUCCESS says.

    Raises:
        InputError: a part is missing, or no row of the corpus was an article.
        StoreError: a part or _SUCCESS is of another job.
    """
    if done := success(out, plan.job):
        return done
    parts, facts = list[ScoredPart](), list[Facts]()
    with ThreadPoolExecutor(16) as pool:
        there = pool.map(lambda index: out.exists(plan.part(index)), range(plan.shards))
        for (index, found), present in zip(all_facts(out, range(plan.shards), plan.job), there, strict=True):
            if found is None or not present:
                raise InputError(f"part {index} is missing", where=out.uri, hint="score again: the parts that are there stay")
            facts.append(found)
            parts.append(ScoredPart(name=plan.part(index), rows=found.articles, sha256=found.sha256))
    articles = sum(each.articles for each in facts)
    rejected = sum(each.rejected for each in facts)
    first = _gather_rejects(out, plan, facts) if rejected else ""
    if not articles:
        where = plan.corpus.where if len(plan.corpus.files) > 1 else plan.corpus.address(0)
        raise InputError(f"no row is an article{first}", where=where)
    tiers = Counter[str]()
    for each in facts:
        tiers.update(each.tiers)
    prefiltered = sum(each.prefiltered for each in facts)
    scores = Scores(
        job=plan.job,
        filter=plan.filter,
        version=plan.version,
        filter_key=plan.filter_key,
        dimensions=plan.dimensions,
        adapter=plan.adapter,
        corpus=plan.corpus.digest,
        files=[(file.name, file.size, file.etag) for file in plan.corpus.files],
        code=plan.code,
        articles=articles,
        scored=articles - prefiltered,
        prefiltered=prefiltered,
        rejected=rejected,
        tiers={name: tiers[name] for name in facts[0].tiers},
        parts=parts,
    )
    # The same facts give the same bytes, so of several finishers each succeeds.
    try:
        out.put_if(SUCCESS, scores.to_bytes(), etag=None)
    except Conflict:
        if theirs := success(out, plan.job):
            return theirs
        raise
    return scores


def _gather_rejects(out: Store, plan: Plan, facts: list[Facts]) -> str:
    """Write one file of all rejects, each with its line in its file; return the first one in words."""
    before, first = Counter[int](), ""
    with tempfile.NamedTemporaryFile(prefix="rejects-") as gathered:
        for each in facts:
            if each.rejected:
                for text in out.get(part_rejects_key(each.index)).splitlines():
                    number, line, reason = loads(text)
                    reject = {"file": plan.corpus.files[number].name, "line": before[number] + line, "reason": reason}
                    first = first or f": {reject['file']}:{reject['line']}: {reason}"
                    gathered.write((json.dumps(reject, ensure_ascii=False) + "\n").encode())
            for number, lines in each.lines:
                before[number] += lines
        gathered.flush()
        out.put(REJECTS, Path(gathered.name))
    return first
