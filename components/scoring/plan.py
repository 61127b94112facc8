"""What is scored, with what, into how many parts, and where that lies.

    <out>/part-00000.parquet …   committed by one conditional put each: a second writer's rows never join the first's
          _rejects.jsonl         bad rows of all parts, with file and line, where there are any
          _SUCCESS               counts and the digest of every part; only when all are there
          _job/plan.json         what this page describes; the job is its digest, so other inputs are another job
          _job/part-00000.json   facts of a part (job, rows, sha256, lines, tiers), written after the part itself
          _job/rejects-00000.jsonl
A part names its job, and so do its facts: what another job's pods still write here is refused, never taken for this job's.
Readers of datasets skip what begins with "_". `distillery.components.scoring.completion` says what has become of it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Final

from pydantic import TypeAdapter, ValidationError

from distillery.components.artifacts.scores import Facts, Format, Scores, ScoringPlan
from distillery.components.artifacts.serving import Plan as Served
from distillery.components.scoring.corpus import Corpus, Piece, cut, cut_files
from distillery.components.scoring.own_code import own_code
from distillery.components.store import (
    Digest,
    NotFound,
    Store,
    StoreError,
    canonical_json,
    digest_bytes,
    digest_json,
    in_bucket,
)
from distillery.components.store.layout import (
    SCORING_PLAN,
    SUCCESS,
    part_facts_key,
    part_key,
    published_filter_key,
    todo_key,
)
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter

MAX_SHARDS = 100_000  # what Kubernetes lets an Indexed Job have


# What makes scores other scores, the plainest first.
DIFFERENCES: Final = {
    "filter": "another filter",
    "version": "another version of the filter",
    "adapter": "another adapter",
    "corpus": "other articles",
    "filter_key": "a filter that was changed since",
    "code": "another program",
    "served": "another precision, device or engine",
}
FP32: Final = Served()


@dataclass(frozen=True)
class Plan:
    """Say what is scored, with what, into how many parts.

    Attributes:
        filter_key: where the store has the filter, by digest.
        code: the image, or a digest of this program's own source.
        served: where the student runs and in which precision; None for fp32 on a CPU by torch.
        file_bytes: bytes of a file that make a part, where no part has rows of two files; None where the files are cut as if
            they were one.
    """

    filter: str
    version: int
    filter_key: str
    dimensions: list[str]
    adapter: str
    corpus: Corpus
    shards: int
    fmt: Format
    code: str
    served: Served | None = None
    file_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MAX_SHARDS:
            what = f"{self.shards:,} is not in 1 to {MAX_SHARDS:,}"
            raise InputError(what, hint="a part may be large", parameter="shards")

    @cached_property
    def job(self) -> Digest:
        """Return the digest of everything that decides the rows."""
        fields = asdict(self)
        later = {"served": self.served.to_json() if self.served else None, "file_bytes": self.file_bytes}
        kept = {name: value for name, value in later.items() if value is not None}
        first = {name: fields[name] for name in fields if name not in later}
        return digest_json({"format": 2, **first, **kept, "corpus": self.corpus.digest})

    def pieces(self, index: int) -> list[Piece]:
        """Return what one part reads.

        Args:
            index: number of the part.

        Returns:
            Pieces in the order of the files.
        """
        if self.file_bytes is None:
            return cut(self.corpus, self.shards, index)
        return [cut_files(self.corpus, self.file_bytes)[index]]

    def same_parts(self, other: Plan) -> bool:
        """True if another plan reads the same parts of the same corpus by the same program.

        Args:
            other: the plan of another filter.

        Returns:
            Whether one reading of a part serves both.
        """
        ours, theirs = ((each.corpus.digest, each.shards, each.file_bytes, each.fmt, each.code) for each in (self, other))
        return ours == theirs and self.filter != other.filter

    def over(self, corpus: Corpus) -> Plan:
        """Return the same plan for a corpus that was found anew.

        Args:
            corpus: the same files, maybe with what this machine says of them.

        Returns:
            The plan, whose job is the same.
        """
        return replace(self, corpus=corpus)

    def part(self, index: int) -> str:
        """Return the key of a part.

        Args:
            index: number of the part.

        Returns:
            The key below the scores.
        """
        return part_key(index, self.fmt)

    def to_bytes(self) -> bytes:
        """Return the plan as it is written.

        Returns:
            Canonical JSON.
        """
        return self.document().to_bytes()

    def document(self) -> ScoringPlan:
        """Return the plan as it is stored.

        Returns:
            The document, with the digest of the job.
        """
        fields = {name: value for name, value in vars(self).items() if name in ScoringPlan.model_fields}
        return ScoringPlan(**fields | {"job": self.job, "corpus": self.corpus.document()})

    @staticmethod
    def of(document: ScoringPlan) -> Plan:
        """Return the plan that a document describes.

        Args:
            document: a stored plan.

        Returns:
            The plan.

        Raises:
            InputError: it has no part, or more parts than a Job can have.
        """
        fields = {name: value for name, value in document if name != "job"}
        return Plan(**fields | {"corpus": Corpus.of(document.corpus)})


def plan_for(
    flt: Filter,
    adapter: str,
    corpus: Corpus,
    shards: int = 0,
    *,
    part_bytes: int,
    fmt: Format = "parquet",
    code: str = "",
    served: Served = FP32,
    per_file: bool = False,
) -> Plan:
    """Plan the scoring of a corpus.

    Args:
        flt: the filter.
        adapter: digest of the adapter.
        corpus: the corpus.
        shards: number of parts; 0 for as many as make parts of `part_bytes`.
        part_bytes: bytes of corpus that make a part.
        fmt: format of the parts.
        code: the image that scores; empty for a digest of this program's own source.
        served: how the student is served.
        per_file: True if no part is to have rows of two files; `shards` is not heeded then.

    Returns:
        The plan.
    """
    digest = digest_bytes(dump_filter(flt).encode())
    key = published_filter_key(flt.name, flt.spec.version, digest)
    shards = shards or min(MAX_SHARDS, -(-corpus.size // part_bytes))
    if per_file:
        shards = len(cut_files(corpus, part_bytes))
    kept, whole = None if served == FP32 else served, part_bytes if per_file else None
    return Plan(flt.name, flt.spec.version, key, flt.dimensions, adapter, corpus, shards, fmt, code or own_code(), kept, whole)


def begin(out: Store, plan: Plan) -> None:
    """Write the plan, or find it there; replace one that has the same files elsewhere, since they may have moved.

    Args:
        out: where the scores go.
        plan: what is scored.

    Raises:
        InputError: `out` holds scores of something else.
    """
    data = plan.to_bytes()

    def written(there: bytes | None) -> bytes | None:
        _require_ours(out, plan, there)
        return None if there == data else data

    out.update(SCORING_PLAN, written)


def check_place(out: Store, plan: Plan) -> None:
    """Raise unless these scores may go there; write nothing.

    Args:
        out: where the scores go.
        plan: what is scored.

    Raises:
        InputError: `out` holds scores of something else.
    """
    present = out.current(SCORING_PLAN)
    _require_ours(out, plan, present[0] if present else None)


def _require_ours(out: Store, plan: Plan, there: bytes | None) -> None:
    """Raise unless what lies at `out` is of this plan's job; where its plan is lost or torn, what was scored says whose."""
    jobs = "end its Job (--cancel) and " if in_bucket(out.uri) else ""
    hint = f"give another place, or {jobs}delete this one"
    old: ScoringPlan | None = None
    if there is not None:
        try:
            old = _read(there, f"{out.uri}/{SCORING_PLAN}")
        except InputError as error:
            if not _scored_here(out, plan):
                raise InputError("holds a plan that can't be read", where=out.uri, hint=hint) from error
    elif out.exists(SUCCESS) and not _scored_here(out, plan):
        raise InputError("holds scores already", where=out.uri, hint=hint)
    if old is not None and old.job != plan.job:
        what, wanted = _difference(old, plan)
        raise InputError(what, where=out.uri, hint=wanted + hint)


def _read(data: bytes, where: str) -> ScoringPlan:
    """Return a stored plan; InputError where it is torn, or its job is not the digest of the rest."""
    document = ScoringPlan.read(data, where)
    if Plan.of(document).job != document.job:
        raise StoreError("is not what was written", where=where, hint=ScoringPlan.HINT)
    return document


def _scored_here(out: Store, plan: Plan) -> bool:
    """True if _SUCCESS or the facts of a part name this job."""
    documents: list[tuple[str, type[Scores | Facts]]] = [(SUCCESS, Scores)]
    documents += [(part_facts_key(index), Facts) for index in range(plan.shards)]
    for key, form in documents:
        present = out.current(key)
        with suppress(StoreError):
            if present and form.read(present[0], key).job == plan.job:
                return True
    return False


def _difference(old: ScoringPlan, plan: Plan) -> tuple[str, str]:
    """Return in what a written plan differs from ours, and the option that would make them one, "" where none does."""
    ours = plan.document()
    differs = {name for name in ScoringPlan.model_fields if getattr(old, name) != getattr(ours, name)}
    differs -= {"corpus"} if old.corpus.files == ours.corpus.files else set()
    for name, what in DIFFERENCES.items():
        if name in differs:
            return f"holds scores of {what}", ""
    if "fmt" in differs:
        return f"holds scores as {old.fmt}", f"add --format {old.fmt}, "
    if "shards" in differs:
        return f"holds scores in {old.shards:,} parts, not {plan.shards:,}", f"add --shards {old.shards}, "
    return "holds scores of another program", ""


def read_plan(out: Store, job: str) -> Plan:
    """Return the plan of a place.

    Args:
        out: where the scores go.
        job: digest that the plan must have.

    Returns:
        The plan.

    Raises:
        InputError: no plan is there.
        StoreError: it is of another job, or no plan.
    """
    where = f"{out.uri}/{SCORING_PLAN}"
    try:
        plan = Plan.of(ScoringPlan.load(out, SCORING_PLAN))
    except NotFound:
        raise InputError("is not there", where=where, hint="submit the corpus again") from None
    if plan.job != job:
        raise StoreError(f"is of job {plan.job[:12]}, not {job[:12]}", where=where, hint="submit the corpus again")
    return plan


def put_todo(out: Store, indexes: list[int]) -> Digest:
    """Write the list of parts that are left, under its digest; a Job's index is a place in it.

    Args:
        out: where the scores go.
        indexes: numbers of the parts, rising.

    Returns:
        The list's digest.
    """
    ranges = list[list[int]]()
    for index in indexes:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    data = canonical_json(ranges)
    digest = digest_bytes(data)
    out.put(todo_key(digest), data)
    return digest


def todo_list(out: Store, digest: str) -> list[int]:
    """Return a list that `put_todo` wrote.

    Args:
        out: where the scores go.
        digest: the list's digest.

    Returns:
        Numbers of the parts.

    Raises:
        InputError: the list is no longer there, or was damaged or altered.
        StoreError: the store can't be read.
    """
    key = todo_key(digest)
    where, hint = f"{out.uri}/{key}", "end its Job (--cancel), and score again"
    try:
        data = out.get(key, digest=Digest(digest))
    except NotFound:
        raise InputError("is there no more", where=where, hint=hint) from None
    except StoreError as error:
        if error.__cause__ is not None:
            raise  # the store is at fault, not what it holds
        raise InputError(error.what, where=where, hint=hint) from None
    try:
        ranges = TypeAdapter(list[tuple[int, int]]).validate_json(data, strict=False)
    except ValidationError as error:
        raise InputError("is no list of parts", where=where, hint=hint) from error
    if not all(0 <= first <= last < MAX_SHARDS for first, last in ranges):
        raise InputError("names parts that can't be", where=where, hint=hint)
    return [index for first, last in ranges for index in range(first, last + 1)]
