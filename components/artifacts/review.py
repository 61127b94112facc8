"""What people said of an adapter's test articles, and how far they, oracle and student agree. Scores in points, 0-10."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import NotFound, Store
from distillery.components.store.layout import reviewed_key

ORACLE, STUDENT = "oracle", "student"

Points = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class Reviewer(Document):
    """A person. name: as the files have it. articles, scores: how many of each they gave."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    articles: int
    scores: int


class RaterPair(Document):
    """How far two raters lie from one another, over n articles that both scored in every dimension.

    left, right: reviewers, "people" (the mean of all who scored an article), "oracle" or "student". mae: over all dimensions.
    interval: of it, 95%, by resampling articles. bias: mean of left minus right. dimensions: MAE of each.
    """

    left: str
    right: str
    n: int
    mae: float
    interval: tuple[float, float]
    bias: float
    dimensions: dict[str, float]


class Alpha(Document):
    """Krippendorff's alpha for interval data among people. value: None where all scores are the same. interval: 95%."""

    n: int
    value: float | None
    interval: tuple[float, float] | None


class Review(Document):
    """The review of an adapter; read anew, it is written anew.

    Attributes:
        filter: name of the filter.
        adapter: digest of the adapter whose predictions were looked at.
        test: digest of the test part that the articles are of.
        reviewers: the people.
        pairs: people and each of them against oracle and student, oracle against student, and each two people.
        overall: alpha of the overall score.
        dimensions: alpha of each dimension.
        scores: by reviewer, article and dimension.
    """

    KIND = "a review"
    HINT = "read the reviewers' files again: `distillery review FILTER --read FILE`"

    format: Literal[1] = 1
    filter: str
    adapter: Sha256
    test: Sha256
    reviewers: list[Reviewer]
    pairs: list[RaterPair]
    overall: Alpha
    dimensions: dict[str, Alpha]
    scores: dict[str, dict[Sha256, dict[str, Points]]]


def read_review(store: Store, name: str, adapter: str) -> Review | None:
    """Return the review of an adapter.

    Args:
        store: where it is.
        name: of the filter.
        adapter: digest of the adapter.

    Returns:
        The review; None where nobody read one.

    Raises:
        StoreError: it can't be read.
    """
    try:
        return Review.load(store, reviewed_key(name, adapter))
    except NotFound:
        return None
