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

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Final

from distillery.components.artifacts.scores import Format, ScoringPlan
from distillery.components.scoring.corpus import Corpus
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
    part_key,
    published_filter_key,
    todo_key,
)
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter
from distillery.filters.strict_json import loads

MAX_SHARDS = 100_000  # what Kubernetes lets an Indexed Job have


# What makes scores other scores, the plainest first.
DIFFERENCES: Final = {
    "filter": "another filter",
    "version": "another version of the filter",
    "adapter": "another adapter",
    "corpus": "other articles",
    "filter_key": "a filter that was changed since",
    "code": "another program",
}


@dataclass(frozen=True)
class Plan:
    """Say what is scored, with what, into how many parts.

    Attributes:
        filter_key: where the store has the filter, by digest.
        code: the image, or a digest of this program's own source.
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

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MAX_SHARDS:
            what = f"{self.shards:,} is not in 1 to {MAX_SHARDS:,}"
            raise InputError(what, hint="a part may be large", parameter="shards")

    @cached_property
    def job(self) -> Digest:
        """Return the digest of everything that decides the rows."""
        return digest_json({"format": 2, **asdict(self), "corpus": self.corpus.digest})

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
    flt: Filter, adapter: str, corpus: Corpus, shards: int = 0, *, part_bytes: int, fmt: Format = "parquet", code: str = ""
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

    Returns:
        The plan.
    """
    digest = digest_bytes(dump_filter(flt).encode())
    key = published_filter_key(flt.name, flt.spec.version, digest)
    shards = shards or min(MAX_SHARDS, -(-corpus.size // part_bytes))
    return Plan(flt.name, flt.spec.version, key, flt.dimensions, adapter, corpus, shards, fmt, code or own_code())


def begin(out: Store, plan: Plan) -> None:
    """Write the plan, or find it there; replace one that has the same files elsewhere, since they may have moved.

    Args:
        out: where the scores go.
        plan: what is scored.

    Raises:
        InputError: `out` holds scores of something else.
    """
    jobs = "end its Job (--cancel) and " if in_bucket(out.uri) else ""
    hint, data = f"give another place, or {jobs}delete this one", plan.to_bytes()

    def written(there: bytes | None) -> bytes | None:
        if there is None and out.exists(SUCCESS):
            raise InputError("holds scores already", where=out.uri, hint=hint)
        if there is not None and _job_of(there, out.uri) != plan.job:
            what, wanted = _difference(there, plan)
            raise InputError(what, where=out.uri, hint=wanted + hint)
        return None if there == data else data

    out.update(SCORING_PLAN, written)


def _job_of(plan: bytes, where: str) -> str:
    """Return the job of a stored plan; "" where the bytes are no plan."""
    try:
        return ScoringPlan.read(plan, where).job
    except StoreError:
        return ""


def _difference(written: bytes, plan: Plan) -> tuple[str, str]:
    """Return in what a written plan differs from ours, and the option that would make them one, "" where none does."""
    try:
        old, ours = loads(written), loads(plan.to_bytes())
        differs = {name for name in ours if old.get(name) != ours[name]}
        differs -= {"corpus"} if old["corpus"]["files"] == ours["corpus"]["files"] else set()
    except (ValueError, KeyError, TypeError, AttributeError):
        return "holds a plan that can't be read", ""
    for name, what in DIFFERENCES.items():
        if name in differs:
            return f"holds scores of {what}", ""
    if "fmt" in differs:
        return f"holds scores as {old['fmt']}", f"add --format {old['fmt']}, "
    if "shards" in differs:
        return f"holds scores in {old['shards']:,} parts, not {plan.shards:,}", f"add --shards {old['shards']}, "
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
        InputError: the list is no longer there.
    """
    key = todo_key(digest)
    try:
        ranges = out.get_json(key, digest=Digest(digest))
    except NotFound:
        raise InputError("is there no more", where=f"{out.uri}/{key}", hint="end its Job (--cancel), and score again") from None
    return [index for first, last in ranges for index in range(first, last + 1)]
