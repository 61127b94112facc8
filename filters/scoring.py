"""The strict model of kind `Scoring`, the second kind beside `Filter`: a Filter says what is judged, a Scoring on what.

It is read as a Filter is: an unknown key, a key twice or a value of the wrong kind is an error with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from distillery.filters.checks import Fault
from distillery.filters.cron import fault as cron_fault
from distillery.filters.document import Document, and_more
from distillery.filters.faults import explain
from distillery.filters.fields import UNCHECKED, Slug, Strict
from distillery.filters.spec import Metadata

Prefix = Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]*(/[^/\s]+)+/?$", max_length=1_000)]
KIND = "Scoring"


class ScoredFilter(Strict):
    """A filter whose student scores the corpus."""

    name: Slug = Field(description="Name of the filter; its scores lie in a folder of that name.")
    channel: Slug = Field(default="production", description="Channel whose adapter scores.")


class ScoringSpec(Strict):
    """What is scored, by whom, when, and where the scores go."""

    filters: list[ScoredFilter] = Field(min_length=1, max_length=16, description="The filters; each scores every file once.")
    corpus: Prefix = Field(description="s3:// prefix of files of articles; it may grow.")
    out: Prefix = Field(description="s3:// prefix of the scores, outside the corpus.")
    schedule: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="0 * * * *", description="When new files are looked for, five fields as in crontab, in UTC."
    )
    onPromotion: Literal["rescore", "new-only"] = Field(
        default="rescore", description="With another adapter: all files again beside the old scores, or only what comes."
    )
    parallelism: int = Field(
        default=0, ge=0, le=100_000, description="Pods of a pass at once; 0: as many as parts, 1,000 at most."
    )
    queue: Slug | None = Field(default=None, description="Kueue's LocalQueue; null: the cluster's own setting.")
    suspend: bool = Field(default=False, description="True: no pass begins; one that goes on does.")


class Scoring(Strict):
    """A corpus that promoted students score, file by file, as it grows."""

    apiVersion: Literal["llm-distillery.io/v1alpha1"] = Field(description="API version.")
    kind: Literal["Scoring"] = Field(description="Scoring.")
    metadata: Metadata = Field(description="Name of the scoring.")
    spec: ScoringSpec = Field(description="The scoring itself.")

    @property
    def name(self) -> str:
        """Name of the scoring."""
        return self.metadata.name

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Scoring:
        if info.context is not UNCHECKED and (found := list(_faults(self.spec))):
            raise PydanticCustomError("inconsistent", "{what}", {"what": found[0].what, "faults": found})
        return self


def _faults(spec: ScoringSpec) -> Iterator[Fault]:
    names = [each.name for each in spec.filters]
    for place, name in enumerate(names):
        if name in names[:place]:
            yield Fault(("spec", "filters", place, "name"), f'"{name}" stands there twice', "write a Scoring for each channel")
    corpus, out = (f"{address.rstrip('/')}/" for address in (spec.corpus, spec.out))
    if out.startswith(corpus):
        yield Fault(("spec", "out"), "lies within the corpus", "give a place outside: scores would be read as articles")
    if wrong := cron_fault(spec.schedule):
        yield Fault(("spec", "schedule"), *wrong)


def scoring_of(document: Document) -> Scoring:
    """Return the Scoring of a document that was read.

    Args:
        document: a mapping, and where its parts are.

    Returns:
        The Scoring.

    Raises:
        InputError: it is not valid.
    """
    try:
        return Scoring.model_validate(document.value)
    except ValidationError as error:
        first, *more = explain(error, document, Scoring)
        raise and_more(first.error(), len(more)) from None
