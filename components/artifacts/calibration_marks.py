"""Marks in the document of a calibration: who marked how much, and how far several reviewers agree."""

from __future__ import annotations

from pydantic import Field

from distillery.components.artifacts.document import Document


class ReviewerMarks(Document):
    """How much one reviewer marked.

    Attributes:
        name: the reviewer's name, or "reviewer 2" where the file of marks has none.
        on: articles marked on-topic.
        off: articles marked off-topic.
        unsure: articles of which the reviewer could not say.
        missing: articles of the samples that the reviewer did not mark.
    """

    name: str
    on: int
    off: int
    unsure: int
    missing: int


class MarkCounts(Document):
    """Which marks were applied.

    Attributes:
        by: who marked: "person", "prefilter", "reference" or "nobody".
        digest: of the marks.
        on: articles marked on-topic.
        off: articles marked off-topic.
        reviewers: those who marked; empty for one file without a name, and where no person marked.
    """

    OMITTED = ("reviewers",)

    by: str
    digest: str
    on: int
    off: int
    reviewers: list[ReviewerMarks] = Field(default_factory=list)


class PairAgreement(Document):
    """How often two reviewers agree.

    Attributes:
        left: name of one.
        right: name of the other.
        n: articles that both marked on-topic or off-topic.
        same: of these, those that both marked alike.
        share: same over n; None where n is 0.
        interval: of the share, Wilson's, 95%.
    """

    left: str
    right: str
    n: int
    same: int
    share: float | None
    interval: tuple[float, float]


class Disputed(Document):
    """An article that reviewers marked differently.

    Attributes:
        article: digest of the article.
        id: what its owner calls it.
        sample: "calibration" or "fresh".
        marks: "on" or "off" by reviewer.
        applied: the mark of the majority; None where there is none, and the article counts for nothing.
    """

    article: str
    id: str
    sample: str
    marks: dict[str, str]
    applied: str | None


class Agreement(Document):
    """How far reviewers agree about on-topic and off-topic.

    Attributes:
        n: articles that at least two reviewers marked.
        same: of these, those that all marked alike.
        share: same over n.
        interval: of the share, Wilson's, 95%.
        alpha: Krippendorff's alpha, nominal; None where every mark is the same.
        alpha_interval: of alpha, 95%, by resampling articles; None where alpha is.
        pairs: each two reviewers.
        disputed: the articles that were marked differently.
    """

    n: int
    same: int
    share: float
    interval: tuple[float, float]
    alpha: float | None
    alpha_interval: tuple[float, float] | None
    pairs: list[PairAgreement]
    disputed: list[Disputed]
