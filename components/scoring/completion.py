"""What has become of a scoring, decided by keys and never by a listing; and its end, once every part is there and whole."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from distillery.components.articles.forms import unknown_form
from distillery.components.articles.near_names import Unread
from distillery.components.articles.scratch import scratch_folder
from distillery.components.artifacts.histograms import summed
from distillery.components.artifacts.scores import Facts, ScoredPart, Scores
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.whole import lists_rejects, look_at_all, read_rejects, read_success
from distillery.components.store import Address, Conflict, NotFound, Store, digest_bytes, digest_file
from distillery.components.store.layout import REJECTS, SUCCESS, histograms_key
from distillery.filters.errors import InputError

NAMED: Final = 5  # damaged parts that are named one by one


def missing(out: Store, plan: Plan, progress: Progress = quiet) -> list[int]:
    """Return the parts that have to be scored: those that are not there, and those that are lost or damaged.

    Args:
        out: where the scores go.
        plan: what is scored.
        progress: told of what is lost or damaged.

    Returns:
        Numbers of the parts.

    Raises:
        StoreError: a part or _SUCCESS is of another job, or the store is at fault.
    """
    ended = read_success(out, plan.job)
    if ended.etag and not ended.scores:
        progress.note(f"{SUCCESS} can't be read: it is written anew")
    final = _final(out, plan, ended.scores)
    left = [part for part in look_at_all(out, plan, range(plan.shards), final) if not part.done]
    damaged = [part.fault for part in left if part.fault]
    for fault in damaged[:NAMED]:
        progress.note(f"{fault}: it is done again")
    if len(damaged) > NAMED:
        progress.note(f"and so are {len(damaged) - NAMED:,} other parts")
    if ended.scores and (unbegun := len(left) - len(damaged)):
        progress.note(f"{unbegun:,} parts that {SUCCESS} names are gone: they are done again")
    return [part.number for part in left]


def success(out: Store, job: str) -> Scores | None:
    """Return what _SUCCESS says.

    Args:
        out: where the scores are.
        job: digest of the job.

    Returns:
        The document; None before it is written, and where it can't be read.

    Raises:
        StoreError: it is of another job.
    """
    return read_success(out, job).scores


def finish(out: Store, plan: Plan) -> Scores:
    """Write _rejects.jsonl and _SUCCESS once every part is there and whole; doing it again changes nothing.

    Args:
        out: where the scores are.
        plan: what is scored.

    Returns:
        What _SUCCESS says.

    Raises:
        InputError: a part is missing or damaged, or no row of the corpus was an article.
        StoreError: a part or _SUCCESS is of another job.
    """
    ended = read_success(out, plan.job)
    final = _final(out, plan, ended.scores)
    facts, parts = list[Facts](), list[ScoredPart]()
    for part in look_at_all(out, plan, range(plan.shards), final):
        if not part.done:
            gone = "missing" if not part.altered else "damaged"
            what = f"part {part.number} is {gone}" + (f" ({part.fault})" if part.fault else "")
            raise InputError(what, where=out.uri, hint="score again: the parts that are there stay")
        if part.facts:
            facts.append(part.facts)
            name = plan.part(part.number)
            parts.append(ScoredPart(name=name, rows=part.facts.articles, sha256=part.facts.sha256))
    if final and len(facts) < plan.shards:  # facts were lost, and nothing else
        return final
    articles = sum(each.articles for each in facts)
    rejected = sum(each.rejected for each in facts)
    first, listed = ("", final.rejects) if final else _gather_rejects(out, plan, facts)
    if not articles and plan.file_bytes is None:  # of files that come one by one, one may hold bad rows alone
        near = (f"; {each.advice(rejected)}" for each in _unread(facts) if each.column == "content")
        raise no_article(plan, first + "".join(near))
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
        rejects=listed,
        histograms=_put_histograms(out, facts),
        unread=_unread(facts),
        unmet=_unmet(facts),
    )
    if scores == ended.scores:
        return scores
    # The same facts give the same bytes, so of several finishers each succeeds.
    try:
        out.put_if(SUCCESS, scores.to_bytes(), etag=ended.etag)
    except Conflict:
        if theirs := success(out, plan.job):
            return theirs
        raise
    return scores


def _unmet(facts: list[Facts]) -> list[str]:
    """Return the columns that were to be read and that no part with a row has."""
    lacking = [set(each.unmet) for each in facts if each.articles or each.rejected]
    return sorted(set[str].intersection(*lacking)) if lacking else []


def _put_histograms(out: Store, facts: list[Facts]) -> str:
    """Write how the scores of all parts are spread, under its digest; "" where the facts of a part don't say it."""
    known = [each.histograms for each in facts if each.histograms]
    if len(known) < len(facts):
        return ""
    data = summed(known).to_bytes()
    digest = digest_bytes(data)
    if not out.exists(histograms_key(digest)):  # of a finished scoring nothing is written
        out.put(histograms_key(digest), data)
    return digest


def _unread(facts: list[Facts]) -> list[Unread]:
    """Return the columns that rows lack and have by another name, over all parts; the most frequent name of each."""
    counts = Counter[tuple[str, str]]()
    for each in facts:
        counts.update({(one.column, one.name): one.rows for one in each.unread})
    found: dict[str, Unread] = {}
    for (column, name), rows in counts.most_common():
        found.setdefault(column, Unread(column=column, name=name, rows=rows))
    return [found[column] for column in sorted(found)]


def notes(scores: Scores) -> list[str]:
    """Return what to tell of a corpus's columns: what was not read, what was made up.

    Args:
        scores: what _SUCCESS says.

    Returns:
        Sentences.
    """
    rows = scores.articles + scores.rejected
    told = [f"no row has a column {name!r}, which would be read under another name" for name in scores.unmet]
    return [*told, *(each.advice(rows) for each in scores.unread)]


def no_article(plan: Plan, first: str) -> InputError:
    """Return the error for a corpus without an article.

    Args:
        plan: what was scored.
        first: the first bad row in words, after a colon; "" for none.

    Returns:
        The error.
    """
    where = plan.corpus.where if len(plan.corpus.files) > 1 else plan.corpus.address(0)
    of = Address.parse(where)
    if not of.in_bucket and of.local.is_file() and (error := unknown_form(of.local)):
        return error
    return InputError(f"no row is an article{first}", where=where)


def _final(out: Store, plan: Plan, scores: Scores | None) -> Scores | None:
    """Return what _SUCCESS says if it names the plan's parts, and the bad rows that it counts are all there."""
    if scores is None or [part.name for part in scores.parts] != [plan.part(index) for index in range(plan.shards)]:
        return None
    return scores if lists_rejects(out, scores) else None


def _gather_rejects(out: Store, plan: Plan, facts: list[Facts]) -> tuple[str, str]:
    """Write one file of all rejects, each with its line in its file; return the first one in words, and the file's digest."""
    before, first = Counter[int](), ""
    if not any(each.rejected for each in facts):
        return "", ""
    with scratch_folder("distillery-rejects-") as folder:
        path = folder / REJECTS
        with path.open("wb") as gathered:
            for each in facts:
                for number, line, reason in _rejects(out, each):
                    reject = {"file": plan.corpus.files[number].name, "line": before[number] + line, "reason": reason}
                    first = first or f": {reject['file']}:{reject['line']}: {reason}"
                    gathered.write((json.dumps(reject, ensure_ascii=False) + "\n").encode())
                for number, lines in each.lines:
                    before[number] += lines
        out.put(REJECTS, path)
        return first, digest_file(path)


def _rejects(out: Store, facts: Facts) -> list[tuple[int, int, str]]:
    try:
        return read_rejects(out, facts.index) if facts.rejected else []
    except NotFound:
        what = f"part {facts.index} is damaged (its bad rows are lost)"
        raise InputError(what, where=out.uri, hint="score again: the parts that are there stay") from None
