"""One part of a corpus: read, prefilter, score, commit; as often as it likes, with the rows counted once.

A part is held as a table until its one conditional put (some 400 bytes an article without its text, so 20 MB for 50,000); the
texts pass through in chunks. Where two score the same part, the first put stands, and the other takes over what it wrote after
comparing it with the corpus article by article; so machines whose last decimals differ don't mix. A Parquet part names its job
in its schema's metadata, since a deleted job's pods may still write; JSON Lines, which no cluster writes, have the facts alone.

Several filters may score the same part at once: it is read once, and each of them commits a part of its own, the same bytes as
if it were alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distillery.components.articles.articles import Article, as_article
from distillery.components.articles.columns import Renamed
from distillery.components.articles.folders import FolderColumns
from distillery.components.articles.label_table import write_table
from distillery.components.articles.near_names import NamesSeen
from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.artifacts.histograms import histograms_of
from distillery.components.artifacts.scores import ANOTHER, Facts
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import no_article
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.rows import ABOUT, Predictor, json_lines, judged, read_rows, row_schema
from distillery.components.scoring.whole import look_at
from distillery.components.store import Conflict, Store, StoreError, digest_bytes
from distillery.components.store.layout import part_facts_key, part_rejects_key
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 2048
JOB = "job"  # in the schema's metadata


@dataclass(frozen=True)
class Target:
    """Say for which filter a part is scored, and where its scores go.

    Attributes:
        out: where the scores go.
        plan: what is scored; of all targets of a part, the same corpus cut in the same way.
        flt: the filter.
        student: opens the student; called only if something must be scored.
        commits: called before anything is written.
    """

    out: Store
    plan: Plan
    flt: Filter
    student: Callable[[], Predictor]
    commits: Callable[[], None] = lambda: None


class Onward(Progress):
    """Count on from the articles that are through already.

    Args:
        progress: told of all of them.
        before: how many are through.
    """

    def __init__(self, progress: Progress, before: int = 0) -> None:
        self._progress, self.before = progress, before

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        """Say how many are through, those before counted.

        Args:
            done: units that are through since then.
            total: units in all, which is not passed on.
            unit: what is counted.
            facts: figures to show beside.
        """
        self._progress(self.before + done, None, unit, **facts)

    def note(self, text: str) -> None:
        """Say one line worth keeping in the log.

        Args:
            text: the line.
        """
        self._progress.note(text)


class _Articles:
    """Iterates over the articles of a part; keeps its rejects and the lines of each file."""

    def __init__(self, plan: Plan, index: int, columns: Mapping[str, str] | None = None) -> None:
        self.plan, self.index, self.renamed = plan, index, Renamed(columns)
        self.clear()

    def clear(self) -> None:
        """Forget what was seen, before the articles are read again."""
        self.rejects: list[tuple[int, int, str]] = []
        self.lines: list[tuple[int, int]] = []
        self.seen = NamesSeen()

    def unmet(self) -> list[str]:
        """Return the columns that were to be read as an article's and that no row has, nor the article's own."""
        columns = self.renamed.columns.items()
        return sorted(
            name for name, ours in columns if name not in self.renamed.used and ours in ABOUT and not self.seen.names[ours]
        )

    @property
    def first_reject(self) -> str:
        """Return the first bad row of a plan of one part, in words after a colon; "" where there is none."""
        if not self.rejects:
            return ""
        number, line, reason = self.rejects[0]
        near = "".join(f"; {each.advice(self.seen.rows)}" for each in self.seen.unread() if each.column == "content")
        return f": {self.plan.corpus.files[number].name}:{line}: {reason}{near}"

    def __iter__(self) -> Iterator[Article]:
        for piece in self.plan.pieces(self.index):
            rows = self.plan.corpus.rows(piece, self.renamed)
            folders = FolderColumns(self.plan.corpus.files[piece.file].name, self.renamed)
            for line, value, fault in rows:
                try:
                    if value is None:
                        raise ValueError(fault)
                    value = folders.row(value)
                    self.seen.add(value)
                    article = as_article(value)
                except ValueError as error:
                    self.rejects.append((piece.file, line, str(error)))
                    continue
                yield article
            self.lines.append((piece.file, rows.lines))


def score_part(
    out: Store,
    plan: Plan,
    index: int,
    flt: Filter,
    student: Callable[[], Predictor],
    *,
    chunk: int = CHUNK,
    progress: Progress = quiet,
    commits: Callable[[], None] = lambda: None,
) -> Facts:
    """Commit one part of a plan, or find it committed; what is damaged of it is done again.

    Args:
        out: where the scores go.
        plan: what is scored.
        index: number of the part.
        flt: the filter.
        student: opens the student; called only if something must be scored.
        chunk: articles scored at once.
        progress: told how many articles have been scored.
        commits: called before anything is written.

    Returns:
        What the part holds.

    Raises:
        InputError: the corpus can't be read or, in one part, has no article; the student has other dimensions or returns no
            numbers.
        StoreError: the part that is there was made of other articles or by another job.
    """
    return score_parts([Target(out, plan, flt, student, commits)], index, chunk=chunk, progress=progress)[0]


def score_parts(targets: Sequence[Target], index: int, *, chunk: int = CHUNK, progress: Progress = quiet) -> list[Facts]:
    """Commit the same part for several filters, or find it committed; its articles are read once.

    Filters that read the columns of files by other names read them on their own.

    Args:
        targets: the filters, each with its place.
        index: number of the part.
        chunk: articles scored at once.
        progress: told how many articles have been scored.

    Returns:
        What each part holds, in the order of the targets.

    Raises:
        InputError: as `score_part`.
        StoreError: as `score_part`.
    """
    found, left = dict[int, Facts](), list[int]()
    for place, target in enumerate(targets):
        before = look_at(target.out, target.plan, index)
        if before.done and before.facts:
            found[place] = before.facts
            continue
        articles = _Articles(target.plan, index, target.flt.columns)
        data = None if before.altered else _standing(target.out, target.plan, index, articles, noted=bool(before.fault))
        if data is None:
            left.append(place)
        else:
            found[place] = _note(target, index, data, articles)
    while left:
        columns = targets[left[0]].flt.columns
        alike = [place for place in left if targets[place].flt.columns == columns]
        left = [place for place in left if place not in alike]
        articles, group = _Articles(targets[alike[0]].plan, index, columns), [targets[place] for place in alike]
        etags = [target.out.etag(target.plan.part(index)) for target in group]
        tables = _scored(group, articles, chunk, progress)
        for place, etag, table in zip(alike, etags, tables, strict=True):
            found[place] = _commit(targets[place], index, etag, table, articles)
    return [found[place] for place in range(len(targets))]


def _commit(target: Target, index: int, etag: str | None, table: pa.Table, articles: _Articles) -> Facts:
    """Put a part where nobody else has, and note what it holds."""
    plan, out = target.plan, target.out
    if plan.shards == 1 and not table.num_rows and plan.file_bytes is None:
        raise no_article(plan, articles.first_reject)
    data = write_table(table, {JOB: plan.job}) if plan.fmt == "parquet" else json_lines(table)
    target.commits()
    try:
        out.put_if(plan.part(index), data, etag=etag)
    except Conflict:
        data = _theirs(out, plan, index, table["article"].to_pylist())
    return _note(target, index, data, articles)


def _note(target: Target, index: int, data: bytes, articles: _Articles) -> Facts:
    """Write the list of bad rows and the facts of a part that is there."""
    target.commits()
    rejects = "".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in articles.rejects).encode()
    if rejects:
        target.out.put(part_rejects_key(index), rejects)
    etag = target.out.etag(target.plan.part(index)) or ""
    facts = _facts(target.plan, index, target.flt, data, articles, etag, digest_bytes(rejects) if rejects else "")
    target.out.put(part_facts_key(index), facts.to_bytes())
    return facts


def _standing(out: Store, plan: Plan, index: int, articles: _Articles, *, noted: bool) -> bytes | None:
    """Return the bytes of a part whose writer was stopped before it noted the facts; None where it has to be scored.

    Bytes that nobody noted and nobody can read may be anybody's, and are refused; those that were noted here once are ours.
    """
    if not out.exists(plan.part(index)):
        return None
    digests = [article.digest for article in articles]
    try:
        return _theirs(out, plan, index, digests)
    except _Unreadable:
        if not noted:
            raise
        articles.clear()
        return None


class _Unreadable(StoreError):
    """A part is no table."""


def _theirs(out: Store, plan: Plan, index: int, articles: Sequence[str]) -> bytes:
    """Return the bytes of a part that another process committed; raise StoreError unless articles and job are the same."""
    name = plan.part(index)
    data, where = out.get(name), f"{out.uri}/{name}"
    hint = "delete it, and score again"
    try:
        table = read_rows(plan.fmt, plan.dimensions, data)
        theirs = (table.schema.metadata or {}).get(JOB.encode(), b"").decode()
        same = table["article"].to_pylist() == list(articles) if articles else not table.num_rows
    except Exception as error:  # whatever a reader makes of foreign bytes
        raise _Unreadable(f"is not a part of scores ({type(error).__name__})", where=where, hint=hint) from error
    if plan.fmt == "parquet" and theirs != plan.job:
        raise StoreError(f"is of another job ({theirs[:12] or 'unnamed'})", where=where, hint=ANOTHER)
    if not same:
        raise StoreError("holds the scores of other articles", where=where, hint=hint)
    return data


def _facts(plan: Plan, index: int, flt: Filter, data: bytes, articles: _Articles, etag: str, rejects: str) -> Facts:
    table = read_rows(plan.fmt, plan.dimensions, data)
    tiers = Counter({tier.name: 0 for tier in flt.spec.tiers})
    tiers.update(table["tier"].drop_null().to_pylist())
    sha256 = digest_bytes(data)
    return Facts(
        job=plan.job,
        index=index,
        sha256=sha256,
        articles=table.num_rows,
        prefiltered=table.num_rows - table["prefiltered"].null_count,
        rejected=len(articles.rejects),
        tiers=dict(tiers),
        lines=articles.lines,
        unread=articles.seen.unread(),
        unmet=articles.unmet(),
        etag="" if etag == sha256 else etag,
        rejects=rejects,
        histograms=histograms_of(table, flt.dimensions),
    ).sealed()


def _scored(targets: Sequence[Target], articles: _Articles, chunk: int, progress: Progress) -> list[pa.Table]:
    """Return the scores of a part by target. Students are opened after the first articles were read: seconds and gigabytes."""
    import pyarrow as pa

    tables = [list[pa.Table]() for _ in targets]
    done, left_out, batch = 0, 0, list[Article]()

    def judge_batch() -> None:
        nonlocal done, left_out
        for target, made in zip(targets, tables, strict=True):
            opened = target.student()
            require_dimensions(opened.dimensions, target.flt, "the student")
            # Of several students, each is told of at the end of the chunk alone: a count that falls is no progress.
            made.append(judged(target.flt, opened, batch, Onward(progress, done) if len(targets) == 1 else quiet))
        done += len(batch)
        left_out += min(made[-1].num_rows - made[-1]["prefiltered"].null_count for made in tables)
        progress(done, None, "articles", prefiltered=float(left_out))
        batch.clear()

    for article in articles:
        batch.append(article)
        if len(batch) == chunk:
            judge_batch()
    if batch:
        judge_batch()
    return [
        pa.concat_tables(made or [row_schema(target.flt.dimensions).empty_table()])
        for target, made in zip(targets, tables, strict=True)
    ]
