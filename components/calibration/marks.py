"""Marks: which articles of a sample people find on-topic or off-topic.

Several reviewers may mark the same articles: the majority counts, and an article without a majority counts for nothing. Where
nobody marked, the prefilter or known true scores may stand in, if asked for; which is recorded. A prefilter knows only what an
article is not, so it marks nothing on-topic, and what it stands in for is REVIEW at best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distillery.components.articles.articles import Article
from distillery.components.artifacts.calibration_marks import MarkCounts, ReviewerMarks
from distillery.components.artifacts.rubric_calibration import MIDDLE
from distillery.components.calibration.marks_file import OFF, ON, UNSURE, MarksFile, read_files
from distillery.components.sampling.draw import Sample
from distillery.components.store import Digest, Json, digest_json
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PREFILTER, REFERENCE, PERSON, NOBODY = "prefilter", "reference", "person", "nobody"
NEAR = 0.5  # a true score this near the middle marks nothing, as a person would leave it


@dataclass(frozen=True)
class Review:
    """What one reviewer said, in one file or several.

    Attributes:
        name: of the reviewer, or "reviewer 2" for the second file where it has no name.
        files: the reviewer's files.
    """

    name: str
    files: tuple[MarksFile, ...]

    def mark(self, article: Article) -> str | None:
        """Return the reviewer's mark of an article; a later "on" or "off" takes precedence over "unsure".

        Args:
            article: the article.

        Returns:
            "on", "off" or "unsure"; None where it has no mark.

        Raises:
            InputError: two files of the reviewer contradict each other.
        """
        found = {mark: file.where for file in self.files if (mark := file.mark(article))}
        if ON in found and OFF in found:
            what = f"{self.name} marks article {article.id[:60]!r} on here and off in {found[OFF]}"
            raise InputError(what, where=found[ON], hint="give each reviewer another name, or one of the two files")
        return next((mark for mark in (ON, OFF, UNSURE) if mark in found), None)

    def note(self, article: Article) -> str:
        """Return what the reviewer wrote of an article.

        Args:
            article: the article.

        Returns:
            The notes, one a line; "" where there is none.
        """
        return "\n".join(dict.fromkeys(file.notes[article.digest] for file in self.files if article.digest in file.notes))


@dataclass(frozen=True)
class Marks:
    """Marks of articles, and whose they are.

    Attributes:
        by: who marked: "person", "prefilter", "reference" or "nobody".
        reviews: what each reviewer said; empty where no person marked.
    """

    by: str
    reviews: tuple[Review, ...] = ()

    @property
    def given(self) -> dict[str, Json]:
        """Return the marks that were given: by article for one plain file, else by reviewer."""
        if len(self.reviews) == 1 and not self.named:
            return {**self.reviews[0].files[0].marks}
        return {review.name: [{**file.marks} for file in review.files] for review in self.reviews}

    @property
    def named(self) -> bool:
        """True if the calibration should tell the reviewers apart: there are several, or a file is of the review page."""
        return len(self.reviews) > 1 or any(file.samples for review in self.reviews for file in review.files)

    def require(self, flt: Filter, kind: str, sample: Sample, digest: Digest) -> tuple[Marks, list[str]]:
        """Raise unless every file is about this sample; return the marks that can be used for it.

        Args:
            flt: the filter.
            kind: "calibration" or "fresh".
            sample: the sample.
            digest: of the sample.

        Returns:
            The marks, and what is left out: one sentence for each file that also marks another fresh sample.

        Raises:
            InputError: a file is for another filter or sample, or marks an article that is not in it.
        """
        left_out, reviews = [], []
        for review in self.reviews:
            files = tuple(file.require(flt.name, kind, digest, sample.articles) for file in review.files)
            reviews.append(replace(review, files=files))
            for before, after in zip(review.files, files, strict=True):
                if count := len(before.marks) - len(after.marks):
                    left_out.append(
                        f"{before.where}: {count} marks are of the fresh sample of another rubric, which is used up; "
                        "mark the new one on the page"
                    )
        return replace(self, reviews=tuple(reviews)), left_out

    def of(self, flt: Filter, sample: Sample) -> list[str | None]:
        """Return the mark of each article of a sample: of several reviewers, that of the majority.

        Args:
            flt: the filter.
            sample: the sample, of n articles.

        Returns:
            n times "on", "off" or None for an article without a mark, or without a majority.

        Raises:
            InputError: true scores are to mark, and no article carries any; or a reviewer's files contradict each other.
        """
        if self.by == PREFILTER:
            return [None if sample.passes[article.digest] else OFF for article in sample.articles]
        if self.by == REFERENCE:
            return by_reference(flt, sample.articles)
        return [majority([review.mark(article) for review in self.reviews]) for article in sample.articles]

    def marked(self, articles: Sequence[Article]) -> bool:
        """True if a reviewer said anything of these articles.

        Args:
            articles: of all samples.

        Returns:
            Whether any of them has a mark, "unsure" included.
        """
        return any(review.mark(article) for review in self.reviews for article in articles)

    def counts(self, applied: dict[Digest, str], articles: Sequence[Article]) -> MarkCounts:
        """Return how many marks were applied, whose they are, and their digest.

        Args:
            applied: the marks of the articles that were judged.
            articles: of all samples.

        Returns:
            The counts.
        """
        kinds = list(applied.values())
        reviewers = [_counts(review, articles) for review in self.reviews] if self.named else []
        return MarkCounts(
            by=self.by, digest=digest_json(applied), on=kinds.count(ON), off=kinds.count(OFF), reviewers=reviewers
        )


def _counts(review: Review, articles: Sequence[Article]) -> ReviewerMarks:
    marks = [review.mark(article) for article in articles]
    return ReviewerMarks(
        name=review.name, on=marks.count(ON), off=marks.count(OFF), unsure=marks.count(UNSURE), missing=marks.count(None)
    )


def unfinished(counts: MarkCounts) -> list[str]:
    """Return one sentence for each reviewer who did not mark every article.

    Args:
        counts: which marks were applied.

    Returns:
        Text for people; none where every reviewer marked all.
    """
    return [
        f"{one.name} marked {one.on + one.off + one.unsure} of {one.on + one.off + one.unsure + one.missing} articles, "
        f"{one.missing} are missing"
        for one in counts.reviewers
        if one.missing
    ]


def majority(marks: Sequence[str | None]) -> str | None:
    """Return what most reviewers said of one article.

    Args:
        marks: "on", "off", "unsure" or None of each reviewer; the last two are no opinion.

    Returns:
        "on" or "off"; None where as many say one as the other.
    """
    on, off = marks.count(ON), marks.count(OFF)
    return ON if on > off else OFF if off > on else None


def read_marks(marks: Sequence[str]) -> Marks:
    """Read marks.

    Args:
        marks: addresses of JSON files, and folders of them; or "prefilter" or "reference" alone; empty where nobody marked.

    Returns:
        The marks.

    Raises:
        InputError: a file holds no marks, or a stand-in is given together with files.
    """
    if not marks:
        return Marks(NOBODY)
    if stand_in := next((one for one in marks if one in (PREFILTER, REFERENCE)), ""):
        if len(marks) > 1:
            raise InputError(f"{stand_in} and files are both given", hint="give one of the two", parameter="marks")
        return Marks(stand_in)
    return Marks(PERSON, _by_reviewer(read_files(marks)))


def _by_reviewer(files: Sequence[MarksFile]) -> tuple[Review, ...]:
    """Return the files by reviewer, in their order; a name is the same in capitals and without."""
    found: dict[str, list[MarksFile]] = {}
    names: dict[str, str] = {}
    for place, file in enumerate(files, 1):
        name = file.reviewer or f"reviewer {place}"
        found.setdefault(name.casefold(), []).append(file)
        names.setdefault(name.casefold(), name)
    return tuple(Review(names[key], tuple(theirs)) for key, theirs in found.items())


def by_reference(flt: Filter, articles: Sequence[Article]) -> list[str | None]:
    """Mark articles by their true scores: on-topic from an overall score of 5.5 up, off-topic from 4.5 down.

    Args:
        flt: the filter.
        articles: n articles.

    Returns:
        n times "on", "off" or None.

    Raises:
        InputError: no article carries true scores.
    """
    import numpy as np

    from distillery.filters.verdict import judge

    known = [at for at, article in enumerate(articles) if set(flt.dimensions) <= set(article.reference or {})]
    if not known:
        raise InputError("no article carries true scores", where="reference", parameter="marks", hint="give a file of marks")
    truth = np.array([[(articles[at].reference or {})[name] for name in flt.dimensions] for at in known])
    marks: list[str | None] = [None] * len(articles)
    for at, overall in zip(known, judge(flt, truth).overall, strict=True):
        marks[at] = ON if overall >= MIDDLE + NEAR else OFF if overall <= MIDDLE - NEAR else None
    return marks
