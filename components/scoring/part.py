"""One part of a corpus: read, prefilter, score, commit; as often as it likes, with the rows counted once.

A part is held as a table until its one conditional put (some 400 bytes an article without its text, so 20 MB for 50,000); the
texts pass through in chunks. Where two score the same part, the first put stands, and the other takes over what it wrote after
comparing it with the corpus article by article; so machines whose last decimals differ don't mix. A Parquet part names its job
in its schema's metadata, since a deleted job's pods may still write; JSON Lines, which no cluster writes, have the facts alone.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from distillery.components.articles.articles import Article, as_article
from distillery.components.articles.columns import Renamed
from distillery.components.articles.folders import FolderColumns
from distillery.components.articles.label_table import read_table, write_table
from distillery.components.articles.near_names import NamesSeen
from distillery.components.artifacts.bundle import require_dimensions
from distillery.components.artifacts.histograms import histograms_of
from distillery.components.artifacts.scores import ANOTHER, Facts, Format, ScoredPart
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import no_article
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.whole import look_at
from distillery.components.store import Conflict, Digest, NotFound, Store, StoreError, digest_bytes
from distillery.components.store.layout import part_facts_key, part_rejects_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

CHUNK = 2048
JOB = "job"  # in the schema's metadata
DECIMALS = 6  # beyond them, scores depend on which articles shared a batch
ABOUT = ("id", "title", "source", "language", "url", "published")


class Predictor(Protocol):
    """What a student does here; `distillery.components.student.bundle.Student` is one."""

    @property
    def dimensions(self) -> list[str]:
        """Return the names of the dimensions, in the order of the columns."""

    def predict(self, texts: Sequence[tuple[str, str]], progress: Progress = ...) -> NDArray[np.float64]:
        """Return raw scores.

        Args:
            texts: (title, content) pairs.
            progress: told how many articles have been scored.

        Returns:
            (n, D) raw scores in the order of the texts.
        """

    def scores(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores from raw ones.

        Args:
            raw: (n, D) raw scores.

        Returns:
            (n, D) scores from 0 to 10.
        """


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
    before = look_at(out, plan, index)
    if before.done and before.facts:
        return before.facts
    name, articles = plan.part(index), _Articles(plan, index, flt.columns)
    data = None if before.altered else _standing(out, plan, index, articles, noted=bool(before.fault))
    if data is None:
        etag, table = out.etag(name), _scored(flt, student, articles, chunk, progress)
        if plan.shards == 1 and not table.num_rows and plan.file_bytes is None:
            raise no_article(plan, articles.first_reject)
        data = write_table(table, {JOB: plan.job}) if plan.fmt == "parquet" else _json_lines(table)
        commits()
        try:
            out.put_if(name, data, etag=etag)
        except Conflict:
            data = _theirs(out, plan, index, table["article"].to_pylist())
    commits()
    rejects = "".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in articles.rejects).encode()
    if rejects:
        out.put(part_rejects_key(index), rejects)
    etag = out.etag(name) or ""
    facts = _facts(plan, index, flt, data, articles, etag, digest_bytes(rejects) if rejects else "")
    out.put(part_facts_key(index), facts.to_bytes())
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
        table = _read(plan.fmt, plan.dimensions, data)
        theirs = (table.schema.metadata or {}).get(JOB.encode(), b"").decode()
        same = table["article"].to_pylist() == list(articles) if articles else not table.num_rows
    except Exception as error:  # whatever a reader makes of foreign bytes
        raise _Unreadable(f"is not a part of scores ({type(error).__name__})", where=where, hint=hint) from error
    if plan.fmt == "parquet" and theirs != plan.job:
        raise StoreError(f"is of another job ({theirs[:12] or 'unnamed'})", where=where, hint=ANOTHER)
    if not same:
        raise StoreError("holds the scores of other articles", where=where, hint=hint)
    return data


def part_rows(out: Store, part: ScoredPart, dimensions: Sequence[str]) -> pa.Table:
    """Return the rows of a part that is done.

    Args:
        out: where the scores are.
        part: the part, as _SUCCESS names it.
        dimensions: in the order of the filter.

    Returns:
        A row for each article, as `judged` made it.

    Raises:
        InputError: the part is gone.
        StoreError: its bytes are not the ones that _SUCCESS names.
    """
    try:
        data = out.get(part.name, digest=Digest(part.sha256))
    except NotFound:
        raise InputError("is gone", where=f"{out.uri}/{part.name}", hint="score again: the other parts stay") from None
    return _read("jsonl" if part.name.endswith(".jsonl") else "parquet", dimensions, data)


def _read(fmt: Format, dimensions: Sequence[str], data: bytes) -> pa.Table:
    import pyarrow as pa

    if fmt == "parquet":
        return read_table(data)
    return pa.Table.from_pylist([loads(line) for line in io.BytesIO(data)], _schema(dimensions))


def _json_lines(table: pa.Table) -> bytes:
    rows = (row for batch in table.to_batches() for row in batch.to_pylist())
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()


def _facts(plan: Plan, index: int, flt: Filter, data: bytes, articles: _Articles, etag: str, rejects: str) -> Facts:
    table = _read(plan.fmt, plan.dimensions, data)
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


def _scored(flt: Filter, student: Callable[[], Predictor], articles: _Articles, chunk: int, progress: Progress) -> pa.Table:
    """Return the scores of a part. The student is opened after the first articles were read: some seconds and gigabytes."""
    import pyarrow as pa

    tables, done, left_out, batch = [_schema(flt.dimensions).empty_table()], 0, 0, list[Article]()

    def judge_batch() -> None:
        nonlocal done, left_out
        opened = student()
        require_dimensions(opened.dimensions, flt, "the student")
        table = judged(flt, opened, batch, Onward(progress, done))
        tables.append(table)
        done += table.num_rows
        left_out += table.num_rows - table["prefiltered"].null_count
        progress(done, None, "articles", prefiltered=float(left_out))
        batch.clear()

    for article in articles:
        batch.append(article)
        if len(batch) == chunk:
            judge_batch()
    if batch:
        judge_batch()
    return pa.concat_tables(tables)


def _schema(dimensions: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    text, number = pa.large_string(), pa.float64()
    columns = dict.fromkeys((*ABOUT, "article", "prefiltered"), text) | {"overall": number, "tier": text, "reason": text}
    return pa.schema(columns | {f"score.{name}": number for name in dimensions})


def judged(flt: Filter, student: Predictor, batch: Sequence[Article], progress: Progress = quiet) -> pa.Table:
    """Return the scores of some articles: prefilter, student, caps and tiers.

    Args:
        flt: the filter.
        student: scores the articles that the prefilter lets through, all at once.
        batch: the articles.
        progress: told how many of them have been scored.

    Returns:
        A row for each article, in order: ABOUT, `article` (its digest), `prefiltered` (why it was left out, or null),
        `overall`, `tier`, `reason` (what capped the overall, or null) and `score.<dimension>`; scores are null where it was
        left out.

    Raises:
        InputError: a score is not a finite number.
    """
    import numpy as np
    import pyarrow as pa

    from distillery.components.articles.prefilter import refused
    from distillery.filters.verdict import judge

    reasons = refused(flt.spec.prefilter, [a.title for a in batch], [a.content for a in batch])
    kept = [row for row, reason in enumerate(reasons) if reason is None]
    columns: dict[str, Any] = {name: [getattr(a, name) for a in batch] for name in ABOUT}
    columns |= {"article": [a.digest for a in batch], "prefiltered": reasons}
    scores = np.empty((0, len(flt.dimensions)))
    if kept:
        texts = [(batch[row].title, batch[row].content) for row in kept]
        scores = np.round(student.scores(student.predict(texts, progress)), DECIMALS)
    if scores.shape != (len(kept), len(flt.dimensions)) or not np.isfinite(scores).all():
        raise InputError(
            "the student's scores are not finite numbers, one per article and dimension",
            hint="train again with a lower learningRate or precision fp32",
        )
    verdicts = judge(flt, scores)
    results = {
        "overall": verdicts.overall.tolist(),
        "tier": verdicts.tier.tolist(),
        "reason": [reason or None for reason in verdicts.reason],
        **{f"score.{name}": scores[:, i].tolist() for i, name in enumerate(flt.dimensions)},
    }
    for name, values in results.items():
        columns[name] = [None] * len(batch)
        for row, value in zip(kept, values, strict=True):
            columns[name][row] = value
    return pa.table(columns, schema=_schema(flt.dimensions))
