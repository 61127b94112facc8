"""Marks: which articles of a sample a person finds on-topic or off-topic.

A file of marks goes by the article's digest, as the review page writes it, or by its id. Where nobody marked, the prefilter
or known true scores may stand in, if asked for; which is recorded. A prefilter knows only what an article is not, so it marks
nothing on-topic, and what it stands in for is REVIEW at best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distillery.components.articles.articles import Article
from distillery.components.artifacts.rubric_calibration import MIDDLE, MarkCounts
from distillery.components.sampling.draw import Sample
from distillery.components.store import Digest, digest_json, parse_json
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

PREFILTER, REFERENCE, PERSON, NOBODY = "prefilter", "reference", "person", "nobody"
NEAR = 0.5  # a true score this near the middle marks nothing, as a person would leave it
MAX_BYTES = 16 * 2**20
SHAPE = 'write {"<article id>": "on", "<another>": "off"}'


@dataclass(frozen=True)
class Marks:
    """Marks of articles, and whose they are.

    Attributes:
        by: who marked: "person", "prefilter", "reference" or "nobody".
        given: the marks of a file, "on" or "off" by digest or id; empty where nobody wrote one.
    """

    by: str
    given: dict[str, str]

    def of(self, flt: Filter, sample: Sample) -> list[str | None]:
        """Return the mark of each article of a sample.

        Args:
            flt: the filter.
            sample: the sample, of n articles.

        Returns:
            n times "on", "off" or None for an article without a mark.

        Raises:
            InputError: true scores are to mark, and no article carries any; or a file marks one article twice, differently.
        """
        if self.by == PREFILTER:
            return [None if sample.passes[article.digest] else "off" for article in sample.articles]
        if self.by == REFERENCE:
            return by_reference(flt, sample.articles)
        return [self._of(article) for article in sample.articles]

    def _of(self, article: Article) -> str | None:
        by_digest, by_id = self.given.get(article.digest), self.given.get(article.id)
        if by_digest and by_id and by_digest != by_id:
            raise InputError(
                f"mark {article.id[:60]!r} twice, {by_id} by its id and {by_digest} by its digest",
                where="marks",
                parameter="marks",
                hint="keep one of the two",
            )
        return by_digest or by_id

    def counts(self, applied: dict[Digest, str]) -> MarkCounts:
        """Return how many marks were applied, whose they are, and their digest.

        Args:
            applied: the marks of the articles that were judged.

        Returns:
            The counts.
        """
        kinds = list(applied.values())
        return MarkCounts(by=self.by, digest=digest_json(applied), on=kinds.count("on"), off=kinds.count("off"))


def read_marks(marks: str) -> Marks:
    """Read marks.

    Args:
        marks: "" for nobody's, "prefilter", "reference", or the path of a JSON file.

    Returns:
        The marks.

    Raises:
        InputError: the file holds no marks.
    """
    if marks in ("", PREFILTER, REFERENCE):
        return Marks(marks or NOBODY, {})
    from distillery.components.articles.input_files import local_file

    with local_file(marks, parameter="marks") as path:
        return Marks(PERSON, _read(path, marks))


def _read(path: Path, where: str) -> dict[str, str]:
    """Return the marks of a JSON file, by digest or id."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError("is too large for marks", where=where, hint=SHAPE)
    document = parse_json(path.read_bytes(), where)
    if not isinstance(document, dict):
        raise InputError("is not a JSON object", where=where, hint=SHAPE)
    found = {}
    for name, mark in document.items():
        if mark is None:
            continue
        if mark not in ("on", "off"):
            raise InputError(f"marks {name[:60]!r} as {str(mark)[:40]!r}, neither on nor off", where=where, hint=SHAPE)
        found[name] = mark
    if not found:
        raise InputError("marks no article", where=where, hint=SHAPE)
    return found


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
        marks[at] = "on" if overall >= MIDDLE + NEAR else "off" if overall <= MIDDLE - NEAR else None
    return marks
