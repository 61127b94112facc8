"""A filter whose student names content types, and labels in which a word decides the type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.split import FILES, test_digest
from distillery.components.store import Store, digest_json
from distillery.filters.filter import Filter
from tests.artifacts.made import made_split_meta
from tests.training.conftest import NAMES, articles, filter_of

TYPES = [
    {"name": "notice", "description": "It says bike bike.", "cap": 1.0},
    {"name": "rumour", "description": "It says law law.", "cap": 3.0},
    {"name": "sermon", "description": "There is none.", "cap": 2.0},
]
SAYS = {"notice": "bike", "rumour": "law"}
COUNTS = (240, 120, 60)


def typed_filter(folder: Path, kind: str = "head", types: Sequence[dict[str, Any]] = TYPES, **training: Any) -> Filter:
    document = filter_of(folder, **training).model_dump()
    document["spec"]["contentTypes"] = list(types)
    document["spec"]["student"]["contentTypes"] = kind
    document["spec"]["tiers"] = [{"name": "high", "when": "overall >= 2"}, {"name": "low"}]
    return Filter.model_validate(document)


def typed_labels(count: int, seed: int, *, named: bool = True) -> list[Label]:
    """Labels of which a third are notices and a sixth rumours; one word, time and again, says so."""
    texts, scores = articles(count, seed)
    labels = []
    for row, ((title, content), values) in enumerate(zip(texts, scores, strict=True)):
        kind = [None, None, None, "notice", "notice", "rumour"][row % 6]
        words = content.split()[:20]
        told = " ".join([SAYS[kind]] * 20 + words + [SAYS[kind]] * 5) if kind else " ".join(words)
        given = dict(zip(NAMES, map(float, values), strict=True))
        labels.append(Label(Article(f"{seed}-{row}", title, told), given, kind if named else None))
    return labels


def typed_split(store: Store, counts: tuple[int, int, int] = COUNTS, *, named: bool = True) -> str:
    frames = [label_table(typed_labels(count, part, named=named), NAMES) for part, count in enumerate(counts)]
    files = {name: write_table(frame) for name, frame in zip(FILES.values(), frames, strict=True)}
    frozen = digest_json(sorted(frames[2]["article"].to_pylist()))
    return str(store.commit("datasets", files, made_split_meta(test=test_digest(frames[2]), frozen=frozen)))


def shares(named: Sequence[str | None], wanted: Sequence[str | None], kind: str) -> tuple[float, float]:
    """Precision and recall."""
    ours, theirs = (np.array([each == kind for each in those]) for those in (named, wanted))
    return float((ours & theirs).sum() / max(ours.sum(), 1)), float((ours & theirs).sum() / theirs.sum())
