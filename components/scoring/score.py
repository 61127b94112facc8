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
from distillery.components.artifacts.scores import Format
from distillery.components.artifacts.serving import Plan as Served
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import finish, missing, notes
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.part import CHUNK, Onward, Predictor, score_part
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
