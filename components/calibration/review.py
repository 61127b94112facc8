"""The review page: one self-contained HTML file in which people mark articles and save the marks.

Articles are untrusted: all text is escaped, and the page's own policy runs no script but the one whose hash it names, and
fetches nothing. The page works from a mail or a folder, without a server, and in a sandboxed frame, where it can keep nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.components.articles.articles import Article
from distillery.components.artifacts.rubric_calibration import LIMITS, MIDDLE, RubricCalibration
from distillery.components.calibration.marks import PERSON, REFERENCE, Marks
from distillery.components.calibration.marks_file import CALIBRATION, FRESH, MAX_NAME, MAX_NOTE, OFF, ON, UNSURE
from distillery.components.store import digest_json
from distillery.filters.filter import Filter

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 6_000  # characters of an article; 120 of them make a page of 1 MB at most
WORDS = {ON: "on-topic", OFF: "off-topic", UNSURE: "can't say"}


@dataclass(frozen=True)
class Reviewed:
    """An article as the review page shows it.

    Attributes:
        article: the article.
        sample: "calibration" or "fresh".
        passes: True if the prefilter lets it pass.
        scores: by dimension, in points; None where the oracle gave no usable reply.
        overall: the overall score, in points; None where the oracle gave no usable reply.
        mark: "on", "off" or "unsure" that the page starts with; None where it has no mark yet.
        note: that the page starts with.
        said: what others said: who, the mark, the note.
    """

    article: Article
    sample: str
    passes: bool
    scores: Mapping[str, float] | None
    overall: float | None
    mark: str | None = None
    note: str = ""
    said: Sequence[tuple[str, str | None, str]] = ()


def begun(given: Marks, article: Article, mark: str | None) -> dict[str, Any]:
    """Return what the page shows of an article's marks: one reviewer goes on, several see one another's.

    Marks that stand in for a person's are shown and not filled in, else they would be saved as that person's.

    Args:
        given: the marks.
        article: the article.
        mark: that is applied to it.

    Returns:
        `mark`, `note` and `said` of a `Reviewed`.
    """
    if given.by != PERSON:
        return {"said": [("true scores" if given.by == REFERENCE else f"the {given.by}", mark, "")] if mark else ()}
    if len(given.reviews) == 1:
        (review,) = given.reviews
        return {"mark": review.mark(article), "note": review.note(article)}
    said = [(review.name, review.mark(article), review.note(article)) for review in given.reviews]
    return {"mark": mark, "said": said}


def review_page(
    flt: Filter,
    reviewed: Sequence[Reviewed],
    samples: Mapping[str, str],
    *,
    given: Marks,
    calibration: RubricCalibration | None = None,
) -> str:
    """Return the page on which a person marks articles.

    Calibration sample and fresh sample are mixed, in the order of the digests of the articles.

    Args:
        flt: the filter.
        reviewed: the articles of both samples.
        samples: digest of each sample, "calibration" and "fresh" where there is one.
        given: the marks that the articles have already.
        calibration: what was judged by them; None where nothing was.

    Returns:
        HTML, complete in itself.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    script = (TEMPLATES / "review.js").read_text("utf-8").strip()
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    environment.filters |= {"percent": lambda share: f"{share:.0%}", "figure": lambda value: f"{value:.2f}"}
    articles = sorted(reviewed, key=lambda one: one.article.digest)
    agreement = calibration.agreement if calibration else None
    numbers = {str(one.article.digest): (at, one.article.title or one.article.id) for at, one in enumerate(articles, 1)}
    disputed = sorted((*numbers[row.article], row) for row in agreement.disputed) if agreement else []
    return environment.get_template("review.html.j2").render(
        flt=flt,
        articles=[_view(one) for one in articles],
        samples=samples,
        sizes={kind: sum(one.sample == kind for one in articles) for kind in (CALIBRATION, FRESH) if kind in samples},
        of=digest_json(given.given)[:16] if given.by == PERSON else "",
        reviewer=given.reviews[0].files[0].reviewer if len(given.reviews) == 1 else "",
        reviewers=calibration.marks.reviewers if calibration else [],
        agreement=agreement,
        disputed=disputed,
        least={kind: limit.least for kind, limit in LIMITS.items()},
        middle=f"{MIDDLE:g}",
        words=WORDS,
        max_name=MAX_NAME,
        max_note=MAX_NOTE,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _view(one: Reviewed) -> dict[str, Any]:
    """Return what the template shows of an article."""
    article = one.article
    return {
        "digest": article.digest, "id": article.id, "title": article.title, "source": article.source,
        "language": article.language, "content": article.content[:SHOWN], "length": f"{len(article.content):,}",
        "cut": len(article.content) > SHOWN, "refused": not one.passes, "sample": one.sample, "mark": one.mark,
        "note": one.note, "said": one.said,
        "scores": {name: f"{score:g}" for name, score in one.scores.items()} if one.scores else None,
        "overall": None if one.overall is None else f"{one.overall:.1f}",
    }  # fmt: skip
