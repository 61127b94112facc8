"""Scoring a corpus on one machine: the same parts as on a cluster, one after the other.

A part is the unit of resuming: with 16 MB of corpus (some 5,000 articles of 3 kB) a killed run loses two minutes of a laptop's
work at most, and a corpus that turns out to be cut short keeps the parts before the break.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.artifacts.scores import Format, Scores
from distillery.components.artifacts.serving import Plan as Served
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import finish, missing, notes
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.own_code import own_code
from distillery.components.scoring.part import CHUNK, Onward, Target, score_parts
from distillery.components.scoring.passes import OnPromotion, Work, require_outside, score_passes, told
from distillery.components.scoring.plan import FP32, Plan, begin, check_place, plan_for
from distillery.components.scoring.rows import Predictor
from distillery.components.store import Address, Store, in_bucket, open_store
from distillery.components.store.layout import scores_folder
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PART_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Wanted:
    """Say by which student a corpus is scored, for which filter, and where the scores go.

    Attributes:
        flt: the filter.
        student: the student, or what opens one, called only if something is left to do.
        adapter: digest of the adapter.
        out: a folder, file:// or s3:// address; scores/<job>/ of a Store.
        served: how the student is served, which is part of the job's digest.
    """

    flt: Filter
    student: Predictor | Callable[[], Predictor]
    adapter: str
    out: str | Path | Store
    served: Served = FP32


class _Scoring:
    """One filter's scoring of a corpus: the plan, the place, and the student once it is needed."""

    def __init__(self, flt: Filter, plan: Plan, student: Predictor | Callable[[], Predictor], place: str | Store) -> None:
        for each in () if callable(student) else (student,):
            require_dimensions(each.dimensions, flt, "the student")
        self._student, self._opened, self._written = student, list[Predictor](), False
        self._new: Path | None = None
        if not isinstance(place, Store) and not in_bucket(place) and not (local := Address.parse(place).local).exists():
            self._new = local
        self.plan, self.store = plan, place if isinstance(place, Store) else open_store(place)
        self.target = Target(self.store, plan, flt, self._ready, self.commits)

    def _ready(self) -> Predictor:
        if not self._opened:
            self._opened.append(self._student() if callable(self._student) else self._student)
        return self._opened[0]

    def commits(self) -> None:
        """Write the plan before the first part: what is refused before that leaves nothing."""
        if not self._written:
            begin(self.store, self.plan)
            self._written = True

    def refuse(self) -> None:
        """Take the folder away again if it is new, and empty still."""
        if self._new is not None:
            with suppress(OSError):  # what was scored stays
                self._new.rmdir()


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
    wanted = [Wanted(flt, student, adapter, out, served)]
    return score_several(wanted, articles, fmt=fmt, shards=shards, chunk=chunk, progress=progress)[0]


def score_several(
    wanted: Sequence[Wanted],
    articles: str | Path | Corpus,
    *,
    fmt: Format = "parquet",
    shards: int = 0,
    chunk: int = CHUNK,
    progress: Progress = quiet,
) -> list[dict[str, Any]]:
    """Score a corpus by several students on this machine; each article is read once, and the scores are those of `score`.

    Args:
        wanted: filters, students and places.
        articles: a path, file:// or s3:// address, or a corpus.
        fmt: format of the parts.
        shards: number of parts; 0 for parts of 16 MB.
        chunk: articles scored at once.
        progress: told how many articles have been scored.

    Returns:
        What `score` returns, for each in order; "seconds" are those of all together.

    Raises:
        InputError: as `score`.
    """
    began = time.monotonic()
    corpus = articles if isinstance(articles, Corpus) else find_corpus(str(articles))
    begun, left = list[_Scoring](), list[list[int]]()
    try:
        for each in wanted:
            plan = plan_for(each.flt, each.adapter, corpus, shards, part_bytes=PART_BYTES, fmt=fmt, served=each.served)
            place = f"{each.out.uri}/{scores_folder(plan.job)}" if isinstance(each.out, Store) else str(each.out)
            begun.append(_Scoring(each.flt, plan, each.student, place))
        left = _left(begun, chunk, progress)
    except InputError:
        for scoring in begun:
            scoring.refuse()
        raise
    found = [_finished(each, progress) for each in begun]
    seconds = round(time.monotonic() - began, 3)
    return [
        {
            **scores.to_json(),
            "parts": [part.name for part in scores.parts],
            "out": each.store.uri,
            "reused": not parts,
            "seconds": seconds,
        }
        for each, scores, parts in zip(begun, found, left, strict=True)
    ]


def _finished(scoring: _Scoring, progress: Progress) -> Scores:
    found = finish(scoring.store, scoring.plan)
    for note in notes(found):
        progress.note(note)
    return found


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
        scoring = _Scoring(of_plan, plan, student, place)
        _left([scoring], chunk, progress)
        return _finished(scoring, progress)

    work = Work(adapter, own_code(), plan, on_promotion)
    ended = score_passes(store, flt.name, corpus, work, run, progress=progress)
    return told(store, flt.name, corpus, ended) | {"seconds": round(time.monotonic() - began, 3)}


def _left(begun: Sequence[_Scoring], chunk: int, progress: Progress) -> list[list[int]]:
    """Score the parts that are left, each for all who lack it; return their numbers by scoring."""
    for each in begun:
        check_place(each.store, each.plan)
    onward, left = Onward(progress), [missing(each.store, each.plan, progress) for each in begun]
    for each, parts in zip(begun, left, strict=True):
        if not parts:
            each.commits()
    for index in sorted({index for parts in left for index in parts}):
        targets = [each.target for each, parts in zip(begun, left, strict=True) if index in parts]
        facts = score_parts(targets, index, chunk=chunk, progress=onward)
        onward.before += facts[0].articles
    return left
