"""The same errors by source, language and length, to find where a student is worse.

Groups are taken from the test set as it is, so small ones have wide intervals; a group of one article has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillery.components.articles.languages import language_code
from distillery.components.articles.word_counts import word_count
from distillery.components.benchmarking.metrics import Judged

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

TOP_SOURCES = 12
OTHER, NONE = "(other)", "(none)"
WORDS = (100, 300, 600, 1200)  # bounds of the length groups, in words of title and content


@dataclass(frozen=True)
class Slicing:
    """One way to group n articles. values: the groups' names in the order shown; group: (n,) positions in it."""

    by: str
    values: list[str]
    group: NDArray[np.int64]


def slicings(frame: pa.Table) -> list[Slicing]:
    """Group articles in three ways.

    Args:
        frame: n articles.

    Returns:
        By source (the 12 largest, then the rest), by language, by length in words (short to long); no group is empty.
    """
    return [_by_name("source", frame, TOP_SOURCES), by_language(frame), _by_length(frame)]


def by_language(frame: pa.Table) -> Slicing:
    """Group articles by the language that they state.

    Args:
        frame: n articles.

    Returns:
        The 12 languages of the most articles, then the rest.
    """
    return _by_name("language", frame, TOP_SOURCES)


def _by_name(by: str, frame: pa.Table, top: int) -> Slicing:
    said = frame[by].to_pylist()
    named = [language_code(name or "") for name in said] if by == "language" else said
    names = np.asarray([name or NONE for name in named], dtype=object).astype(str)
    distinct, group, counts = np.unique(names, return_inverse=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:top]
    values = distinct[largest].tolist()
    if len(distinct) > top:
        values.append(OTHER)
    place = np.full(len(distinct), top, dtype=np.int64)
    place[largest] = np.arange(len(largest))
    return Slicing(by, values, place[group])


def _by_length(frame: pa.Table) -> Slicing:
    texts = zip(frame["title"].to_pylist(), frame["content"].to_pylist(), strict=True)
    words = [word_count(f"{title or ''} {content or ''}") for title, content in texts]
    bucket = np.searchsorted(WORDS, words, side="right")
    names = [f"under {WORDS[0]} words"]
    names += [f"{low}–{high - 1} words" for low, high in pairwise(WORDS)]
    names.append(f"{WORDS[-1]} words or more")
    present, group = np.unique(bucket, return_inverse=True)
    return Slicing("length", [names[i] for i in present], group)


def slice_measures(judged: Judged, slicing: Slicing, weights: Floats | None = None) -> dict[str, Floats]:
    """Compute the errors of each group.

    Args:
        judged: labels and predictions of n articles.
        slicing: G groups of them.
        weights: (B, n), how often each article counts; None counts each once (B = 1).

    Returns:
        (B, G) figures "mae", "overall_mae" and "bias"; NaN for a group that was never drawn.
    """
    w = np.ones((1, judged.n)) if weights is None else weights
    member = (slicing.group[:, None] == np.arange(len(slicing.values))).astype(np.float64)
    overall = judged.overall_predictions - judged.overall_labels
    per_article = {
        "mae": np.abs(judged.predictions - judged.labels).mean(axis=1),
        "overall_mae": np.abs(overall),
        "bias": overall,
    }
    size = w @ member
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: w @ (member * column[:, None]) / size for name, column in per_article.items()}
