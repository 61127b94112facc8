"""Files of marks as the review page saves them, made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillery.components.articles.articles import Article
from distillery.components.sampling.draw import Sample
from distillery.components.store import Digest

CALIBRATION, FRESH = Digest("a" * 64), Digest("b" * 64)


def article(at: int) -> Article:
    return Article(f"a{at}", f"Title {at}", f"Text {at}")


def sample(count: int, first: int = 0) -> Sample:
    articles = [article(at) for at in range(first, first + count)]
    return Sample(articles, {each.digest: True for each in articles}, count, {}, [])


def saved(reviewer: str, marks: Mapping[int, str], *, fresh: Mapping[int, str] | None = None, **changes: Any) -> dict[str, Any]:
    """The file of a reviewer: marks by the number of the article."""
    samples = {"calibration": {"sample": CALIBRATION, "marks": {article(at).digest: mark for at, mark in marks.items()}}}
    if fresh is not None:
        samples["fresh"] = {"sample": FRESH, "marks": {article(at).digest: mark for at, mark in fresh.items()}}
    return {"format": 2, "filter": "demo", "reviewer": reviewer, "complete": True, "samples": samples, **changes}


def written(path: Path, document: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return str(path)
