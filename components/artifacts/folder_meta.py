"""What the manifest of a committed folder says beside its files: of a label set, a split, a sample and an adapter.

A folder is found by the digest of its manifest, so a field that is not set is not written, and none is ever added to the
folders that are there: their digests would change.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from distillery.components.articles.near_names import Unread
from distillery.components.artifacts.document import Document, Sha256
from distillery.components.store import MANIFEST, Folder, Json, canonical_json


class FolderMeta(Document):
    """The meta of a manifest."""

    HINT: ClassVar[str] = "redo the step that wrote it"

    @classmethod
    def of(cls, folder: Folder) -> Self:
        """Return the meta of a committed folder.

        Args:
            folder: the folder, whose manifest is verified.

        Returns:
            The meta.

        Raises:
            StoreError: the folder holds something else.
        """
        return cls.read(canonical_json(folder.meta), f"{folder.where}/{MANIFEST}")


class LabelMapping(Document):
    """How labels that people brought became ours.

    Attributes:
        columns: our names by the file's.
        dimensions: our dimensions by the names within the file's scores.
        scales: what became 0 and what became 10, by dimension; 0 and 10 themselves for one that is not named.
    """

    columns: dict[str, str]
    dimensions: dict[str, str]
    scales: dict[str, list[float]]


class LabelSetMeta(FolderMeta):
    """A label set.

    Attributes:
        filter: name of the filter.
        dimensions: in the order of the filter.
        rubric: digest of the rubric; None for labels that people brought.
        oracle: the oracle's identity; None for labels that people brought.
        rows: articles that got a label.
        dead: articles that got none.
        rejected: rows that are no article, or no label.
        suspicious: articles that address the oracle; None where they were not counted.
        without_calibration: why labels were paid for without a calibration that passed; None where no reason was needed.
        unread: columns that the file seemed to have by another name, and that were not read; None for none.
        mapping: which names and scales the labels had; None where they were read as they stand.
    """

    KIND: ClassVar[str] = "the manifest of a label set"
    OMITTED: ClassVar = ("suspicious", "without_calibration", "unread", "mapping")

    kind: Literal["label set"] = "label set"
    filter: str
    dimensions: list[str]
    rubric: Sha256 | None
    oracle: dict[str, Json] | None
    rows: int
    dead: int
    rejected: int
    suspicious: int | None = None
    without_calibration: str | None = None
    unread: list[Unread] | None = None
    mapping: LabelMapping | None = None


class Stratum(Document):
    """Articles of one stratum by part.

    Attributes:
        upto: the stratum's highest overall score; None for the last stratum.
        train: articles that train.
        validation: articles that validate.
        test: articles that test.
        withheld: articles that are too near to one that tests.
    """

    upto: float | None
    train: int
    validation: int
    test: int
    withheld: int


class Groups(Document):
    """Groups of near-duplicates, each of which goes to one part.

    Attributes:
        articles: groups in all, those of one article included.
        of_several: groups of several articles.
        largest: articles of the largest group.
    """

    articles: int
    of_several: int
    largest: int


class SplitRows(Document):
    """Articles by part, and those that were left out.

    Attributes:
        train: articles the student learns from.
        validation: articles that choose the epoch and the score curves.
        test: articles of the frozen test part.
        withheld: articles left out because they are near a test article.
        copies: exact copies that were left out.
        conflicting: copies whose labels differ.
    """

    train: int
    validation: int
    test: int
    withheld: int
    copies: int
    conflicting: int


class SplitMeta(FolderMeta):
    """A split.

    Attributes:
        label_set: digest of the label set.
        policy: the filter's section `split`, by whose digest frozen test parts are looked up.
        dimensions: in the order of the filter.
        rows: articles by part, and those that were left out.
        strata: articles by overall score.
        frozen: digest of the articles of the test part.
        test: digest of the articles and scores of the test part.
        groups: near-duplicates.
    """

    KIND: ClassVar[str] = "the manifest of a split"

    kind: Literal["split"] = "split"
    label_set: Sha256
    policy: dict[str, int | float]
    dimensions: list[str]
    rows: SplitRows
    strata: list[Stratum]
    frozen: Sha256
    test: Sha256
    groups: Groups


class SampleStratum(Document):
    """Articles of one stratum of a corpus.

    Attributes:
        prefilter: the prefilter's verdict.
        length: short, medium or long.
        corpus: articles of the corpus.
        sample: articles of the sample.
    """

    prefilter: str
    length: str
    corpus: int
    sample: int


class SampleMeta(FolderMeta):
    """A sample.

    Attributes:
        code: version of the drawing.
        filter: name of the filter.
        seed: any text; another one draws another sample.
        prefilter: digest of the filter's prefilter.
        shares: the share of each rule, together 1.
        drawn: articles by rule.
        enriched_by: what enrichment ranked by; "" for nothing.
        corpus: articles of the corpus.
        excluded: articles that must not be drawn.
        strata: articles of corpus and sample by stratum.
        doubted_by: which students' disagreement `weak` ranked by, in which dimensions; None where it drew nothing.
        sources: the sources that were drawn from; None for all.
    """

    KIND: ClassVar[str] = "the manifest of a sample"
    OMITTED: ClassVar = ("doubted_by", "sources")

    kind: Literal["sample"] = "sample"
    code: int
    filter: str
    seed: str
    prefilter: Sha256
    shares: dict[str, float]
    drawn: dict[str, int]
    enriched_by: str
    corpus: int
    excluded: int
    strata: list[SampleStratum]
    doubted_by: str | None = None
    sources: list[str] | None = None


class AdapterMeta(FolderMeta):
    """An adapter bundle.

    Attributes:
        filter: name of the filter.
        split: digest of the split it was trained on.
        base: digest of the base model.
    """

    KIND: ClassVar[str] = "the manifest of an adapter"

    kind: Literal["adapter"] = "adapter"
    filter: str
    split: Sha256
    base: Sha256
