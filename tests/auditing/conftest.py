"""Made-up labels for the audit, with enough distinct articles, sources and spread that nothing is found in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table
from distillery.filters.filter import Filter
from tests.made_up_filter import small_filter

DIMENSIONS = ["clarity", "depth", "reach"]
NOUNS = [
    "river",
    "bridge",
    "council",
    "harvest",
    "engine",
    "museum",
    "winter",
    "signal",
    "border",
    "garden",
    "teacher",
    "railway",
]
VERBS = ["crosses", "repairs", "opens", "measures", "defends", "studies", "funds", "paints", "leaves", "joins", "follows"]
PLACES = ["the old harbour", "a northern town", "the valley", "two villages", "the capital", "an empty quarry", "the coast"]


def english(rng: random.Random, sentences: int) -> str:
    return " ".join(
        f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)} near {rng.choice(PLACES)} in "
        f"{rng.randint(1900, 2020)} with {rng.randint(2, 900)} people."
        for _ in range(sentences)
    )


def make(count: int, seed: int = 0) -> list[Label]:
    labels = []
    for at in range(count):
        rng = random.Random(f"{seed}:{at}")
        article = Article(
            id=f"id{seed}-{at:04}",
            title=f"Report {at}: {english(rng, 1)}",
            content=english(rng, 8),
            source=f"paper{at % 5}",
            language="en",
        )
        labels.append(Label(article, {name: rng.randint(0, 20) / 2 for name in DIMENSIONS}))
    return labels


@pytest.fixture
def make_labels() -> Callable[..., list[Label]]:
    return make


@pytest.fixture
def frame_of() -> Callable[[Sequence[Label]], pa.Table]:
    return lambda labels: label_table(labels, DIMENSIONS)


@pytest.fixture
def flt() -> Filter:
    return small_filter(DIMENSIONS)
