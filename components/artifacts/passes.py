"""The passes over a corpus that grows: which folders of scores count, in one document that is changed by conditional put.

    <out>/_passes.json                           this document
    <out>/<adapter>/<number>-<job>/…             the scores of one pass: a whole scoring, with its plan and its _SUCCESS
A series is all passes that count together. What lies at `out` and is named by no pass is no result.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from distillery.components.artifacts.document import Document, Sha256

KEPT: Final = 3  # series; folders of those before stay where they are

Count = Annotated[int, Field(ge=0)]


class Pass(Document):
    """One pass: the files that were new, scored as one corpus.

    Attributes:
        number: in its series, from 1.
        folder: of its scores, below `out`.
        job: digest of the scoring job.
        adapter: digest of the adapter that scores.
        files: how many files it reads.
        at: UTC time when it ended; "" while it goes on.
        articles: rows, once it has ended; so the figures below.
        scored: articles that the student scored.
        prefiltered: articles that the prefilter refused.
        rejected: rows that are no article.
        tiers: articles by tier.
        seconds: how long it took; None where that is not known.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("seconds",)

    number: Annotated[int, Field(ge=1)]
    folder: str
    job: Sha256
    adapter: Sha256
    files: Count
    at: str = ""
    articles: Count = 0
    scored: Count = 0
    prefiltered: Count = 0
    rejected: Count = 0
    tiers: dict[str, Count] = Field(default_factory=dict)
    seconds: float | None = None


class Series(Document):
    """Passes that count together.

    Attributes:
        folder: below `out`.
        adapter: digest of the adapter of its first pass.
        passes: in order; only the last may go on still.
    """

    folder: str
    adapter: Sha256
    passes: list[Pass]

    @property
    def ended(self) -> list[Pass]:
        """Return the passes that have ended."""
        return [each for each in self.passes if each.at]

    @property
    def open(self) -> Pass | None:
        """Return the pass that goes on; None where none does."""
        return next((each for each in self.passes if not each.at), None)


class Passes(Document):
    """All series over one corpus into one place.

    Attributes:
        filter: name of the filter.
        corpus: address of the corpus.
        current: folder of the series that counts; "" until one has ended a pass.
        series: the newest first, KEPT of them and the current one.
    """

    KIND: ClassVar[str] = "a list of passes"
    HINT: ClassVar[str] = "restore it from a copy, or give another place: all is scored anew there"

    format: Literal[1] = 1
    filter: str
    corpus: str
    current: str = ""
    series: list[Series] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_consistent(self) -> Passes:
        folders = [each.folder for each in self.series]
        if len(set(folders)) < len(folders) or (self.current and self.current not in folders):
            raise PydanticCustomError("inconsistent", "its series are not told apart, or the current one is not there")
        for each in self.series:
            if [one.number for one in each.passes] != list(range(1, len(each.passes) + 1)) or each.open not in (
                None,
                *each.passes[-1:],
            ):
                raise PydanticCustomError("passes", "the passes of {folder} are not in order", {"folder": each.folder})
        return self

    def of(self, folder: str) -> Series | None:
        """Return a series.

        Args:
            folder: its folder; "" for none.

        Returns:
            The series; None where there is none.
        """
        return next((each for each in self.series if each.folder == folder), None)

    @property
    def now(self) -> Series | None:
        """Return the series that counts; None before one has ended a pass."""
        return self.of(self.current)

    def with_series(self, series: Series, *, current: str | None = None) -> Passes:
        """Return the list with a series that is new or was changed, as the newest.

        Args:
            series: the series.
            current: folder of the series that counts from now on; None for the same as before.

        Returns:
            The list, without series beyond KEPT that don't count.
        """
        counts = self.current if current is None else current
        others = [each for each in self.series if each.folder != series.folder]
        kept = [each for place, each in enumerate([series, *others]) if place < KEPT or each.folder == counts]
        return self.model_copy(update={"series": kept, "current": counts})
