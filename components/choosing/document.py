"""A selection: which candidates were held against one another, on which split, by which rule, and what came of it.

It is found by the digest of its bytes, so it holds no time: rates and seconds are read from the records of the steps.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from distillery.components.artifacts.benchmark import Figure, Interval
from distillery.components.artifacts.document import Document
from distillery.components.comparing.document import Judgement


class CandidateFigures(Document):
    """A candidate.

    Attributes:
        name: as the file of candidates has it.
        settings: each "path=value".
        base: base model as the filter names it.
        adapter: digest; of the last rung that it was trained for.
        stopped: epochs after which successive halving stopped it; None where it was trained to the end.
        mae: on validation, of raw scores within 0-10.
        interval: of the MAE; None where it was stopped.
        difference: MAE less that of the best candidate, on the same articles; None where it was stopped.
        difference_interval: of the difference, paired.
        judgement: of the difference.
        train_mae: on its training articles.
        dimensions: MAE by dimension, on validation; empty where it was stopped.
        trainable: parameters.
        work: GFLOP that the body takes for one article of this set.
        memory_mb: that scoring takes, worked out.
        instruction_tokens: of the text before an article, where any candidate has one.
        article_tokens: that it reads at most, where any candidate has an instruction.
    """

    OMITTED: ClassVar[tuple[str, ...]] = ("instruction_tokens", "article_tokens")

    name: str
    settings: list[str]
    base: str
    adapter: str
    stopped: int | None
    mae: Figure
    interval: Interval
    difference: Figure
    difference_interval: Interval
    judgement: Judgement
    train_mae: Figure
    dimensions: dict[str, Figure]
    trainable: int
    work: Figure
    memory_mb: Figure
    instruction_tokens: int | None = None
    article_tokens: int | None = None


class RecipeFigures(Document):
    """Candidates that differ in the seed alone: their mean MAE on validation, and its standard deviation."""

    candidates: list[str]
    mae: Figure
    spread: Figure


class EnsembleFigures(Document):
    """The mean of several candidates' scores, on validation.

    Attributes:
        candidates: whose scores are averaged.
        mae: of their mean.
        difference: MAE less that of the best candidate, on the same articles.
        difference_interval: of the difference, paired.
        work: GFLOP that the bodies of all take for one article.
    """

    candidates: list[str]
    mae: Figure
    difference: Figure
    difference_interval: Interval
    work: Figure


class LanguageFigures(Document):
    """The errors in one language.

    Attributes:
        language: its code, or "(none)" for articles that state none.
        articles: of the validation part.
        errors: MAE by candidate, of those that were trained to the end.
    """

    language: str
    articles: int
    errors: dict[str, Figure]


class Rung(Document):
    """One round of successive halving: epochs, validation MAE by candidate, and who went on."""

    epochs: int
    errors: dict[str, Figure]
    kept: list[str]


class Opened(Document):
    """What the test part said of the chosen student, once the choice was made.

    Attributes:
        benchmark: digest.
        test: digest of the test part.
        articles: of the test part.
        mae: of the chosen student, as it serves.
        interval: of the MAE.
        overall_mae: of the chosen student.
        incumbent: digest of the adapter in use; None where there is none.
        incumbent_mae: on the same articles.
        difference: MAE less the incumbent's.
        difference_interval: of the difference, paired.
    """

    benchmark: str
    test: str
    articles: int
    mae: Figure
    interval: Interval
    overall_mae: Figure
    incumbent: str | None
    incumbent_mae: Figure
    difference: Figure
    difference_interval: Interval


class Selection(Document):
    """A selection.

    Attributes:
        filter: name.
        split: digest.
        validation: articles by which the choice was made.
        rule: of the choice.
        candidates: in the order of their validation MAE, those that were stopped last.
        recipes: the best first.
        ensembles: what means of candidates would have, the best first.
        languages: errors in each, the one of the most articles first; empty where all articles are in one.
        rungs: of successive halving; empty without it.
        best: name of the candidate of the lowest error.
        chosen: name of the candidate that the rule chose.
        decisive: whether the paired interval between chosen and best (or, if they are one, best and next) lies off zero.
        opened: the test part, for the chosen.
    """

    KIND: ClassVar[str] = "a selection"
    HINT: ClassVar[str] = "select again: what is trained is reused"
    OMITTED: ClassVar[tuple[str, ...]] = ("ensembles", "languages")

    filter: str
    split: str
    validation: int
    rule: str
    candidates: list[CandidateFigures]
    recipes: list[RecipeFigures]
    ensembles: list[EnsembleFigures] = Field(default_factory=list)
    languages: list[LanguageFigures] = Field(default_factory=list)
    rungs: list[Rung]
    best: str
    chosen: str
    decisive: bool
    opened: Opened

    def candidate(self, name: str) -> CandidateFigures:
        """Return a candidate.

        Args:
            name: of the candidate.

        Returns:
            Its figures.
        """
        return next(each for each in self.candidates if each.name == name)
