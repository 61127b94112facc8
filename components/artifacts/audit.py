"""The audit of a label set: what the audit step writes, and the report reads.

It is stored as canonical JSON below the digest of its bytes, and a key that is not set is not written.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from distillery.components.articles.near_names import Unread
from distillery.components.artifacts.document import Document
from distillery.components.store import Digest, Store, canonical_json
from distillery.components.store.layout import AUDITS

FILE = "audit.json"
Level = Literal["stop", "warn", "info"]


class Finding(Document):
    """What a figure means. level: "stop" if nothing can be learned, "warn" to look, "info". hint: what to do about it."""

    level: Level
    check: str
    message: str
    hint: str = Field(alias="mend")


class Distribution(Document):
    """Scores 0-10 of n labels, and how many are missing; where all are, the other figures are not set.

    histogram: labels by nearest whole score. mode_share: share of the most frequent score. dead: nearly constant.
    """

    n: int
    missing: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, float | None] = Field(default_factory=dict)
    histogram: list[int]
    mode: float | None = None
    mode_share: float | None = None
    dead: bool


class Pair(Document):
    """Two dimensions that go together. r: their correlation."""

    left: str
    right: str
    r: float | None


class Redundancy(Document):
    """Share of the dimensions' variance on one component, pairs that say the same, and all correlations by name."""

    pc1_share: float | None
    pairs: list[Pair]
    correlations: dict[str, dict[str, float | None]]


class Group(Document):
    """Near-duplicates of one another: how many, and the first ids."""

    size: int
    ids: list[str]


class Conflict(Document):
    """Copies with other labels. difference: mean over dimensions, in points."""

    ids: list[str]
    difference: float | None


class Duplicates(Document):
    """Exact copies and near-duplicates of similarity `threshold` or more, and copies whose labels differ."""

    threshold: float
    distinct: int
    distinct_near: int
    exact_copies: int
    near_copies: int
    groups: int
    largest: int
    examples: list[Group]
    conflicts: int
    conflict_examples: list[Conflict]


class Sentence(Document):
    """A sentence that recurs, and in how many articles."""

    text: str
    articles: int


class Opening(Document):
    """An opening that several articles share, and the first of their ids."""

    text: str
    articles: int
    ids: list[str]


class SourceCount(Document):
    """Pages that are no articles, of one source."""

    source: str
    n: int


class Boilerplate(Document):
    """Consent walls, and pages that hold little but what recurs in `recurs_in` articles or more. share: of all articles."""

    pages: int
    share: float | None
    walls: int
    wall_ids: list[str]
    dominated: int
    dominated_ids: list[str]
    recurs_in: int
    sentences: list[Sentence]
    openings: list[Opening]
    sources: list[SourceCount]


class Tally(Document):
    """Articles with one value ("" where it is not known), with mean and deviation of their overall score."""

    value: str
    n: int
    mean: float | None
    std: float | None


class Disagreement(Document):
    """Articles declared to be in one language and detected to be in another."""

    declared: str
    detected: str
    n: int


class Languages(Document):
    """Languages as declared or else detected, and where the two disagree among the `compared` articles."""

    table: list[Tally]
    undeclared: int
    compared: int
    disagree: int
    disagreements: list[Disagreement]
    examples: list[str]


class Sources(Document):
    """n sources. eta2, omega2: share of the overall score's variance that the source explains, raw and beyond chance."""

    n: int
    eta2: float | None
    omega2: float | None
    table: list[Tally]
    largest_share: float | None


class Lengths(Document):
    """Words per article; nothing is set where there are no articles. short: articles under 50 words."""

    min: float | None = None
    max: float | None = None
    mean: float | None = None
    quantiles: dict[str, float | None] = Field(default_factory=dict)
    short: int = 0
    spearman_overall: float | None = None


class Audit(Document):
    """audit.json. overall: the unweighted mean of the dimensions. findings: the gravest first.

    unread: columns that the file seemed to have by another name. unnamed: articles without an id, named by their text.
    """

    KIND: ClassVar[str] = "an audit"
    HINT: ClassVar[str] = "run again: what hasn't changed is reused"

    format: Literal[1] = 1
    filter: str
    label_set: str
    rows: int
    articles: int
    dimensions: dict[str, Distribution]
    overall: Distribution
    redundancy: Redundancy
    duplicates: Duplicates
    boilerplate: Boilerplate
    languages: Languages
    sources: Sources
    lengths: Lengths
    content_types: list[Tally]
    unread: list[Unread] = Field(default_factory=list)
    unnamed: int = 0
    findings: list[Finding]

    def to_bytes(self) -> bytes:
        """Return the bytes in which the audit is stored: canonical JSON, without keys that are not set.

        Returns:
            JSON in UTF-8; its digest is the key of the audit.
        """
        return canonical_json(self.model_dump(mode="json", exclude_unset=True, by_alias=True))


def read_audit(store: Store, digest: str) -> Audit:
    """Return an audit, verified.

    Args:
        store: where it is.
        digest: of the audit.

    Returns:
        The audit.

    Raises:
        NotFound: there is no such audit.
        StoreError: its bytes were altered, or it has another form.
    """
    folder = store.folder(AUDITS, Digest(digest))
    return Audit.read(folder.read(FILE), f"{folder.where}/{FILE}")
