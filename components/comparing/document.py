"""What a comparison holds: the sides, what differs, and figures with paired intervals; all others are held against side A.

It is printed and drawn, never stored: whatever it is made of lies in the store already.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from distillery.components.artifacts.benchmark import Figure, Interval
from distillery.components.artifacts.document import Document

Judgement = Literal["better", "worse", "not decisive", ""]
LETTERS: Final = "ABCDEFGH"


class SideFacts(Document):
    """One side.

    Attributes:
        letter: A, B, …
        name: as the user named it.
        filter: name of its filter.
        version: of its filter.
        adapter: digest.
        test: digest of its own test part.
        articles: of its own test part.
    """

    letter: str
    name: str
    filter: str
    version: int
    adapter: str
    test: str
    articles: int


class Differs(Document):
    """One thing in which sides differ: a setting, a fact of the data or of the training.

    Attributes:
        name: of the thing, such as "spec.training.epochs".
        values: of each side, in the order of the sides; "" where a side has none.
    """

    name: str
    values: list[str]


class Delta(Document):
    """A side's figure less that of side A, on the same articles.

    Attributes:
        difference: None where either is not known.
        interval: 95%, both sides measured on the same resampled articles; None where there is none.
        judgement: "" for a figure of which more is neither better nor worse.
    """

    difference: Figure
    interval: Interval
    judgement: Judgement


class FigureRow(Document):
    """One figure of all sides.

    Attributes:
        path: as in a benchmark, such as "tiers.high.recall".
        values: of each side.
        deltas: of each side but A.
    """

    path: str
    values: list[Figure]
    deltas: list[Delta]


class Flips(Document):
    """Articles that end in another tier than with side A.

    Attributes:
        letter: of the side.
        before: tier with side A.
        after: tier with this side.
        articles: how many.
        mended: of these, how many the label's tier says are right now.
        spoilt: of these, how many were right with side A.
    """

    letter: str
    before: str
    after: str
    articles: int
    mended: int
    spoilt: int


class Moved(Document):
    """One of the articles that moved most between A and another side, by the overall score.

    Attributes:
        letter: of the side.
        id: of the article.
        source: of the article.
        label: overall score by the label.
        before: overall score by side A.
        after: overall score by this side.
        tiers: by the label, by side A, by this side; empty where they are not comparable.
        title: of the article; "" unless texts were asked for.
    """

    letter: str
    id: str
    source: str
    label: Figure
    before: Figure
    after: Figure
    tiers: list[str]
    title: str


class Comparison(Document):
    """Sides held against side A.

    Attributes:
        sides: two or more.
        articles: that all sides were tested on, and all figures are of.
        same_test: True if the test parts of all sides are one.
        settings: of filter and student, in which sides differ.
        data: labels, split and what came of the training, where sides differ.
        figures: of all dimensions together.
        dimensions: figures of each dimension that all sides judge.
        tiers: recall and precision of each tier; empty where sides have other tiers.
        flips: articles that changed their tier.
        moved: articles that moved most.
        notes: what to keep in mind.
    """

    sides: list[SideFacts]
    articles: int
    same_test: bool
    settings: list[Differs]
    data: list[Differs]
    figures: list[FigureRow]
    dimensions: list[FigureRow]
    tiers: list[FigureRow]
    flips: list[Flips]
    moved: list[Moved]
    notes: list[str]

    def row(self, path: str) -> FigureRow:
        """Return the row of a figure.

        Args:
            path: its path.

        Returns:
            The row.

        Raises:
            KeyError: there is none.
        """
        for row in (*self.figures, *self.dimensions, *self.tiers):
            if row.path == path:
                return row
        raise KeyError(path)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values.

        Returns:
            A JSON object.
        """
        return self.model_dump(mode="json")
