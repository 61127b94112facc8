"""Scoring a corpus on one machine: the same parts as on a cluster, one after the other.

A part is the unit of resuming: with 16 MB of corpus (some 5,000 articles of 3 kB) a killed run loses two minutes of a laptop's
work at most, and a corpus that turns out to be cut short keeps the parts before the break.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.artifacts.scores import Format, Scores
from distillery.components.artifacts.serving import Plan as Served
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import finish, missing, notes
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.own_code import own_code
from distillery.components.scoring.part import CHUNK, Onward, Predictor, score_part
from distillery.components.scoring.passes import OnPromotion, Work, require_outside, score_passes, told
from distillery.components.scoring.plan import FP32, Plan, begin, check_place, plan_for
from distillery.components.store import Address, Store, in_bucket, open_store
from distillery.components.store.layout import scores_folder
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PART_BYTES = 16 * 2**20


def score(
    flt: Filter,
    student: Predictor | Callable[[], Predictor],
    articles: str | Path | Corpus,
    out: str | Path | Store,
    *,
    adapter: str,
    fmt: Format = "parquet",
    shards: int = 0,
    chunk: int = CHUNK,
    served: Served = FP32,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Score a corpus on this machine; parts that are there stay.

    A row has id, title, source, language, url, published, article (digest), prefiltered (why it was left out, or null),
    overall, tier, reason (what capped the overall) and `score.<dimension>`; scores are null where it was left out.

    Args:
        flt: the filter.
        student: the student, or what opens one, called only if something is left to do.
        articles: a path, file:// or s3:// address, or a corpus.
        out: a folder, file:// or s3:// address; scores/<job>/ of a Store.
        adapter: digest of the adapter.
        fmt: format of the parts.
        shards: number of parts; 0 for parts of 16 MB.
        chunk: articles scored at once.
        served: how the student is served, which is part of the job's digest.
        progress: told how many articles have been scored.

    Returns:
        What _SUCCESS says, with "parts" (their names), "out", "reused" (whether nothing was left to do) and "seconds".

    Raises:
        InputError: the corpus is unusable, `out` holds other scores, or the student's dimensions are not the filter's.
    """
    began = time.monotonic()
    corpus = articles if isinstance(articles, Corpus) else find_corpus(str(articles))
    plan = plan_for(flt, adapter, corpus, shards, part_bytes=PART_BYTES, fmt=fmt, served=served)
    opened: list[Predictor] = [] if callable(student) else [student]
    for each in opened:
        require_dimensions(each.dimensions, flt, "the student")
    place = f"{out.uri}/{scores_folder(plan.job)}" if isinstance(out, Store) else str(out)
    new = None if in_bucket(place) or (local := Address.parse(place).local).exists() else local
    store = open_store(place)
    try:
        left = _left(flt, store, plan, student, opened, chunk, progress)
    except InputError:
        if new is not None:
            with suppress(OSError):  # what was scored stays
                new.rmdir()
        raise
    found = finish(store, plan)
    for note in notes(found):
        progress.note(note)
    names = [part.name for part in found.parts]
    seconds = round(time.monotonic() - began, 3)
    return {**found.to_json(), "parts": names, "out": store.uri, "reused": not left, "seconds": seconds}


def score_new(
    flt: Filter,
    articles: str | Path,
    out: str | Path,
    *,
    adapter: str,
    opened: Callable[[Plan], tuple[Filter, Callable[[], Predictor]]],
    fmt: Format = "parquet",
    on_promotion: OnPromotion = "rescore",
    chunk: int = CHUNK,
    served: Served = FP32,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Score the files of a corpus that no pass into this place has scored; see `distillery.components.scoring.passes`.

    Args:
        flt: the filter.
        articles: a path, file:// or s3:// address.
        out: a folder, file:// or s3:// address, which holds all passes.
        adapter: digest of the adapter.
        opened: returns filter and student of a plan, whose adapter is an earlier one where a pass that was begun goes on.
        fmt: format of the parts.
        on_promotion: what to do with files that an earlier adapter scored.
        chunk: articles scored at once.
        served: how the student is served.
        progress: told how many articles have been scored.

    Returns:
        What `told` returns.

    Raises:
        InputError: as `score`, or `out` holds passes over another corpus.
    """
    began = time.monotonic()
    corpus = find_corpus(str(articles))
    require_outside(corpus, str(out))
    store = open_store(str(out))

    def plan(new: Corpus, per_file: bool) -> Plan:
        return plan_for(flt, adapter, new, part_bytes=PART_BYTES, fmt=fmt, served=served, per_file=per_file)

    def run(plan: Plan, place: Store) -> Scores:
        of_plan, student = opened(plan)
        _left(of_plan, place, plan, student, [], chunk, progress)
        found = finish(place, plan)
        for note in notes(found):
            progress.note(note)
        return found

    work = Work(adapter, own_code(), plan, run, on_promotion)
    ended = score_passes(store, flt.name, corpus, work, progress=progress)
    return told(store, flt.name, corpus, ended) | {"seconds": round(time.monotonic() - began, 3)}


def _left(
    flt: Filter,
    store: Store,
    plan: Plan,
    student: Predictor | Callable[[], Predictor],
    opened: list[Predictor],
    chunk: int,
    progress: Progress,
) -> list[int]:
    """Score the parts that are left, and return their numbers."""
    written = list[Plan]()
    check_place(store, plan)

    def commits() -> None:
        """Write the plan before the first part: what is refused before that leaves nothing."""
        if not written:
            begin(store, plan)
            written.append(plan)

    def ready() -> Predictor:
        if not opened and callable(student):
            opened.append(student())
        return opened[0]

    onward, left = Onward(progress), missing(store, plan, progress)
    if not left:
        commits()
    for index in left:
        facts = score_part(store, plan, index, flt, ready, chunk=chunk, progress=onward, commits=commits)
        onward.before += facts.articles
    return left
