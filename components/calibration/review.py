"""The review page: one self-contained HTML file in which a person marks articles and saves the marks.

Articles are untrusted: all text is escaped, and the page's own policy runs no script but the one whose hash it names, and
fetches nothing. The page works from a mail or a folder, without a server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.components.articles.articles import Article
from distillery.filters.filter import Filter

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 6_000  # characters of an article; 120 of them make a page of 1 MB at most


@dataclass(frozen=True)
class Reviewed:
    """An article as the review page shows it.

    Attributes:
        article: the article.
        mark: "on" or "off"; None where it has no mark yet.
        passes: True if the prefilter lets it pass.
        fresh: True if it is of the fresh sample.
        scores: by dimension, in points; None where the oracle gave no usable reply.
        overall: the overall score, in points; None where the oracle gave no usable reply.
    """

    article: Article
    mark: str | None
    passes: bool
    fresh: bool
    scores: Mapping[str, float] | None
    overall: float | None


def review_page(flt: Filter, reviewed: Sequence[Reviewed]) -> str:
    """Return the page on which a person marks articles.

    Calibration sample and fresh sample are mixed, in the order of the digests of the articles.

    Args:
        flt: the filter.
        reviewed: the articles of both samples.

    Returns:
        HTML, complete in itself.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    script = (TEMPLATES / "review.js").read_text("utf-8").strip()
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    return environment.get_template("review.html.j2").render(
        flt=flt,
        articles=[_view(one) for one in sorted(reviewed, key=lambda one: one.article.digest)],
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _view(one: Reviewed) -> dict[str, Any]:
    """Return what the template shows of an article."""
    article = one.article
    return {
        "digest": article.digest, "id": article.id, "title": article.title, "source": article.source,
        "language": article.language, "content": article.content[:SHOWN], "length": f"{len(article.content):,}",
        "cut": len(article.content) > SHOWN, "refused": not one.passes, "fresh": one.fresh, "mark": one.mark,
        "scores": {name: f"{score:g}" for name, score in one.scores.items()} if one.scores else None,
        "overall": None if one.overall is None else f"{one.overall:.1f}",
    }  # fmt: skip
