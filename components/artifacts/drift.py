"""The looks at the scores of an adapter: what drifted, when, and how the scores of its first month were spread.

One document for each adapter, changed by conditional put. A scoring job is one look however often it is looked at, since each
further look makes all later ones stricter.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from distillery.components.artifacts.document import Document, Sha256
from distillery.components.artifacts.histograms import Count, Histograms
from distillery.components.store import Store
from distillery.components.store.layout import drift_key

KEPT: Final = 100  # looks

Reference = Literal["test", "first month"]


class Sample(Document):
    """How the scores of a set of articles are spread.

    Attributes:
        spread: by bin, source and language.
        tiers: articles by tier, in the order of the filter.
    """

    spread: Histograms
    tiers: dict[str, Count]


class MovedArticle(Document):
    """An article that is typical of what drifted.

    Attributes:
        id: of the article.
        title: of the article; "" for none.
        source: of the article; "" for none.
        feature: the drifted feature in which it stands out most.
        score: its score there, 0-10.
    """

    id: str
    title: str
    source: str
    feature: str
    score: float


class Look(Document):
    """What one look found.

    Attributes:
        job: digest of the scoring job.
        scores: address of the scores.
        at: UTC time.
        n: articles that were scored.
        number: of the look, from 1; look k is granted 6 / (π² k²) of the chance of a false alarm.
        reference: what the scores were compared with.
        drifted: names of the features that drifted, the most drifted first.
        psi: the largest population stability index of all features.
        moved: the articles that moved most; of the newest look alone.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("moved",)

    job: Sha256
    scores: str
    at: str
    n: Count
    number: Annotated[int, Field(ge=1)]
    reference: Reference
    drifted: list[str]
    psi: float
    moved: list[MovedArticle] = Field(default_factory=list)


class DriftLog(Document):
    """All looks at the scores of an adapter.

    Attributes:
        filter: name of the filter.
        adapter: digest of the adapter.
        began: UTC time of the first look; "" before it.
        looks: the last KEPT looks, newest first.
        month: the scores of all jobs that were looked at in the first month together; None where there were none.
    """

    KIND: ClassVar[str] = "the looks for drift"
    HINT: ClassVar[str] = "delete it: looks are counted from 1 again"

    format: Literal[1] = 1
    filter: str
    adapter: Sha256
    began: str = ""
    looks: Annotated[list[Look], Field(max_length=KEPT)] = Field(default_factory=list)
    month: Sample | None = None

    @property
    def number(self) -> int:
        """Return how many looks there were."""
        return self.looks[0].number if self.looks else 0

    def look_at(self, job: str) -> Look | None:
        """Return the look at a scoring job.

        Args:
            job: digest of the job.

        Returns:
            The look; None where there was none, or it is not kept any more.
        """
        return next((look for look in self.looks if look.job == job), None)


class DriftStatus(NamedTuple):
    """Whether an adapter's scores drift, as a Kubernetes condition says it.

    Attributes:
        status: "True", "False", or "Unknown" where nobody looked.
        reason: one word.
        message: a sentence.
        job: digest of the scoring job that it is about; "" for none.
    """

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    job: str


def read_drift_log(store: Store, name: str, adapter: str) -> DriftLog:
    """Return the looks at an adapter.

    Args:
        store: where they are.
        name: name of the filter.
        adapter: digest of the adapter.

    Returns:
        The document; an empty one where nobody looked.

    Raises:
        StoreError: it can't be read.
    """
    version = DriftLog.versioned(store, drift_key(name, adapter))
    return version[0] if version else DriftLog(filter=name, adapter=adapter)


def drift_status(store: Store, name: str, adapter: str) -> DriftStatus:
    """Return what the last look at an adapter says, for the condition Drifted of its filter.

    Args:
        store: where the looks are.
        name: name of the filter.
        adapter: digest of the adapter that serves.

    Returns:
        Status, reason and message.

    Raises:
        StoreError: the looks can't be read.
    """
    looks = read_drift_log(store, name, adapter).looks
    if not looks:
        return DriftStatus("Unknown", "NoLook", "no scores of this adapter were compared with its reference", "")
    last = looks[0]
    basis = f"{last.n:,} articles against the {_REFERENCES[last.reference]}, look {last.number}"
    if last.drifted:
        what = f"{', '.join(last.drifted[:5])}{' and others' if len(last.drifted) > 5 else ''} drifted"
        return DriftStatus("True", "ScoresDrifted", f"{what} (index {last.psi:.2f} at most): {basis}", last.job)
    return DriftStatus("False", "ScoresSteady", f"nothing drifted: {basis}", last.job)


_REFERENCES: Final = {"test": "test predictions", "first month": "first month's scores"}
