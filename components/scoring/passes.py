"""Scoring a corpus that grows: each pass scores the files that are new, and no file is scored twice.

A file is known by its content: size and etag, on this machine its sha256. So a renamed file is not scored again, and one that
was changed is a new file, whose earlier rows stay in the pass that scored them. Which files were scored is told by the plans
of the passes that ended: a small read each.

A pass is a whole scoring of its own, so it is resumed, verified and finished like any other. It is listed before its first
part is scored; who comes while it goes on, or after it was killed, does what is left of the same pass.

After a promotion `rescore` scores all files again beside what is there, and one conditional put at the end makes that
current; `new-only` goes on in the same series with the new adapter. A pass ends with the adapter that it began with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from distillery.components.artifacts.passes import Pass, Passes, Series
from distillery.components.artifacts.scores import Scores
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.corpus import Corpus, CorpusFile
from distillery.components.scoring.plan import Plan, begin, read_plan
from distillery.components.store import Address, Store
from distillery.components.store.layout import PASSES
from distillery.filters.errors import InputError

OnPromotion = Literal["rescore", "new-only"]

PER_FILE: Final = 1_000  # new files up to which each has parts of its own; more are cut by bytes, whatever their bounds
COUNTS: Final = ("articles", "scored", "prefiltered", "rejected")
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


class Work(NamedTuple):
    """What the passes are made of; the same for this machine and a cluster.

    Attributes:
        adapter: digest of the adapter that is to score.
        code: the image, or digest of the program's source, that scores.
        plan: makes the plan for some new files; True if each file has parts of its own.
        on_promotion: what to do with files that an earlier adapter scored.
    """

    adapter: str
    code: str
    plan: Callable[[Corpus, bool], Plan]
    on_promotion: OnPromotion = "rescore"


class Begun(NamedTuple):
    """A pass that goes on: the folder of its series, how it is listed, and what is scored."""

    series: str
    listed: Pass
    plan: Plan

    def place(self, out: Store) -> Store:
        """Return where its scores go.

        Args:
            out: where all passes lie.

        Returns:
            The place.
        """
        return out.below(self.listed.folder)


class Ended(NamedTuple):
    """A pass that has ended, what its _SUCCESS says, and where it lies."""

    listed: Pass
    scores: Scores
    out: Store


def utc_now() -> datetime:
    """Return the time.

    Returns:
        Now, in UTC.
    """
    return datetime.now(UTC)


def file_key(file: CorpusFile) -> str:
    """Return by what a file is known again.

    Args:
        file: a file of a corpus.

    Returns:
        Its size and etag; on this machine the etag is its sha256.
    """
    return f"{file.size}-{file.etag}"


def score_passes(
    out: Store,
    name: str,
    corpus: Corpus,
    work: Work,
    run: Callable[[Plan, Store], Scores],
    *,
    progress: Progress = quiet,
    now: Callable[[], datetime] = utc_now,
) -> list[Ended]:
    """Score the files of a corpus that no pass has scored: what is left of a pass that was begun, then what is new.

    Args:
        out: where all passes lie.
        name: name of the filter.
        corpus: the corpus as it is now.
        work: what scores.
        run: scores what is left of a plan into its place, and returns what _SUCCESS says.
        progress: told of each pass.
        now: tells the time.

    Returns:
        The passes that ended now, in order; none where nothing was new.

    Raises:
        InputError: `out` holds passes over another corpus or of another filter, or a file can't be scored.
        StoreError: the list of passes can't be read, or the store is at fault.
    """
    ended = list[Ended]()
    while (begun := next_pass(out, name, corpus, work, progress)) is not None:
        place, files = begun.place(out), begun.listed.files
        progress.note(f"pass {begun.listed.number}: {files:,} new files in {begun.plan.shards:,} parts")
        scores = run(begun.plan, place)
        ended.append(Ended(end_pass(out, begun, scores, now), scores, place))
    return ended


def require_outside(corpus: Corpus, out: str) -> None:
    """Raise InputError where the scores would be read as articles.

    Args:
        corpus: the corpus.
        out: address of the place where all passes are to lie.
    """
    if f"{Address.parse(out)}/".startswith(f"{Address.parse(corpus.where)}/"):
        hint = "give a place outside: scores would be read as articles"
        raise InputError("lies within the corpus", where=out, hint=hint)


def told(out: Store, name: str, corpus: Corpus, ended: Sequence[Ended]) -> dict[str, Any]:
    """Return what became of a command that scored new files.

    Args:
        out: where all passes lie.
        name: name of the filter.
        corpus: the corpus.
        ended: the passes that ended now.

    Returns:
        Plain JSON values: counts over the passes that ended now, their parts below `out`, `new` (files), `passes`, `current`
        (where the scores that count lie) and `reused` (whether nothing was new).
    """
    counts, tiers = Counter[str](), Counter[str]()
    for each in ended:
        counts.update({field: getattr(each.scores, field) for field in COUNTS})
        tiers.update(each.scores.tiers)
    now = passes_of(out, name, corpus.where).now
    return {
        "filter": name,
        **{field: counts[field] for field in COUNTS},
        "tiers": dict(tiers),
        "new": sum(each.listed.files for each in ended),
        "parts": [f"{each.listed.folder}/{part.name}" for each in ended for part in each.scores.parts],
        "passes": [each.listed.to_json() for each in ended],
        "out": out.uri,
        "current": f"{out.uri}/{now.folder}" if now else None,
        "reused": not ended,
    }


def passes_of(out: Store, name: str, corpus: str) -> Passes:
    """Return the passes at a place.

    Args:
        out: the place.
        name: name of the filter.
        corpus: address of the corpus.

    Returns:
        The list; an empty one where there was none.

    Raises:
        InputError: they are over another corpus, or of another filter.
        StoreError: the list can't be read.
    """
    version = Passes.versioned(out, PASSES)
    return _ours(version[0] if version else None, out, name, corpus)


def _ours(listed: Passes | None, out: Store, name: str, corpus: str) -> Passes:
    listed = listed or Passes(filter=name, corpus=corpus)
    for what, theirs, ours in (("filter", listed.filter, name), ("corpus", listed.corpus, corpus)):
        if theirs != ours:
            raise InputError(f"holds passes over {what} {theirs}", where=out.uri, hint="give another place")
    return listed


def _series(listed: Passes, work: Work) -> Series:
    """Return the series that goes on, or the one that is to be begun."""
    folder = work.adapter[:12]
    if work.on_promotion == "new-only" and (going := listed.now or next(iter(listed.series), None)):
        return going
    return listed.of(folder) or Series(folder=folder, adapter=work.adapter, passes=[])


def going_on(out: Store, listed: Passes, work: Work) -> Begun | None:
    """Return the pass that goes on, by what is stored alone: the corpus is not looked at.

    Args:
        out: where all passes lie.
        listed: the passes.
        work: what scores.

    Returns:
        The pass; None where none goes on.

    Raises:
        InputError: its plan is gone.
        StoreError: the store is at fault.
    """
    series = _series(listed, work)
    if series.open is None:
        return None
    return Begun(series.folder, series.open, read_plan(out.below(series.open.folder), series.open.job))


def next_pass(out: Store, name: str, corpus: Corpus, work: Work, progress: Progress = quiet) -> Begun | None:
    """List the pass that is to be done now, or find it listed.

    Args:
        out: where all passes lie.
        name: name of the filter.
        corpus: the corpus as it is now.
        work: what scores.
        progress: told of a pass that begins anew.

    Returns:
        The pass; None where every file was scored.

    Raises:
        InputError: `out` holds passes over another corpus or of another filter.
        StoreError: the list of passes can't be read, or the store is at fault.
    """
    listed = passes_of(out, name, corpus.where)
    series = _series(listed, work)
    if (going := series.open) is not None:
        plan = _resumable(out, going, corpus, work)
        if plan is not None:
            return Begun(series.folder, going, plan)
        progress.note(
            f"pass {going.number} can't go on, since a file of it or the program was changed: its files are new again; "
            f"{out.uri}/{going.folder} is no result and may be deleted"
        )
    seen = {key for keys in _scored_files(out, series) for key in keys}
    new = _new_files(corpus, seen)
    if not new.files:
        _settle(out, name, corpus, series)
        return None
    plan = work.plan(new, len(new.files) <= PER_FILE)
    number = len(series.ended) + 1
    folder = f"{series.folder}/{number:05}-{plan.job[:8]}"
    begin(out.below(folder), plan)
    fresh = Pass(number=number, folder=folder, job=plan.job, adapter=plan.adapter, files=len(new.files))

    def change(there: Passes | None) -> Passes | None:
        present = _ours(there, out, name, corpus.where)
        standing = present.of(series.folder) or Series(folder=series.folder, adapter=work.adapter, passes=[])
        if standing != series and (standing.passes or series.passes):
            return None  # somebody else listed or ended a pass: look again
        passes = [*standing.ended, fresh]
        return present.with_series(standing.model_copy(update={"passes": passes}))

    written = Passes.update(out, PASSES, change)
    standing = written.of(series.folder) if written else None
    if standing is None or standing.open != fresh:
        return next_pass(out, name, corpus, work, progress)
    return Begun(series.folder, fresh, plan)


def _resumable(out: Store, going: Pass, corpus: Corpus, work: Work) -> Plan | None:
    """Return the plan of a pass that goes on, over the files as they are now; None where a file or the program was changed."""
    plan = read_plan(out.below(going.folder), going.job)
    wanted = {(file.name, file_key(file)) for file in plan.corpus.files}
    here = corpus.only(lambda file: (file.name, file_key(file)) in wanted)
    return plan.over(here) if plan.code == work.code and here.digest == plan.corpus.digest else None


def _scored_files(out: Store, series: Series) -> Iterator[list[str]]:
    """Yield the files of each pass that has ended."""

    def read(each: Pass) -> list[str]:
        return [file_key(file) for file in read_plan(out.below(each.folder), each.job).corpus.files]

    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(read, series.ended)


def _new_files(corpus: Corpus, seen: set[str]) -> Corpus:
    """Return the files that no pass has scored, each content once."""
    left = set[str]()

    def is_new(file: CorpusFile) -> bool:
        key = file_key(file)
        if key in seen or key in left:
            return False
        left.add(key)
        return True

    return corpus.only(is_new)


def _settle(out: Store, name: str, corpus: Corpus, series: Series) -> None:
    """Make a series current whose files were all scored before: as after a rollback."""

    def change(there: Passes | None) -> Passes | None:
        present = _ours(there, out, name, corpus.where)
        standing = present.of(series.folder)
        if standing is None or not standing.ended or present.current == series.folder:
            return None
        return present.with_series(standing, current=series.folder)

    Passes.update(out, PASSES, change)


def end_pass(
    out: Store, begun: Begun, scores: Scores, now: Callable[[], datetime] = utc_now, *, seconds: float | None = None
) -> Pass:
    """Note that a pass has ended, which makes its series current.

    Args:
        out: where all passes lie.
        begun: the pass.
        scores: what its _SUCCESS says.
        now: tells the time.
        seconds: how long it took; None where that is not known.

    Returns:
        What is noted, by whoever was first.

    Raises:
        InputError: the pass is listed no more.
        StoreError: the list can't be read, or the store is at fault.
    """
    listed = begun.listed
    counts = scores.model_dump(include={*COUNTS, "tiers"})
    ended = listed.model_copy(update={**counts, "at": now().strftime(STAMP), "seconds": seconds})

    def change(there: Passes | None) -> Passes | None:
        nonlocal ended
        series = there.of(begun.series) if there else None
        noted = next((each for each in series.passes if each.job == listed.job), None) if series else None
        if there is None or series is None or noted is None:
            raise InputError(f"pass {listed.number} is listed no more", where=out.uri, hint="score again")
        if noted.at:
            ended = noted
            return None
        passes = [ended if each.job == listed.job else each for each in series.passes]
        return there.with_series(series.model_copy(update={"passes": passes}), current=begun.series)

    Passes.update(out, PASSES, change)
    return ended
