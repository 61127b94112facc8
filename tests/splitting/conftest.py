"""A small filter, made-up articles, and a store for the tests of duplicates, split and datasets."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.store import Store, open_store
from distillery.filters.filter import Filter
from tests.made_up_filter import small_filter

DIMENSIONS = ["clarity", "depth"]
Labels = list[Label]
WORDS = [
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
    "copper",
    "teacher",
    "railway",
    "orchid",
    "ledger",
    "harbour",
    "pension",
    "granite",
    "ferry",
    "lantern",
    "senate",
    "turbine",
    "violin",
    "market",
    "plaster",
    "quarry",
    "satellite",
    "tunnel",
    "vaccine",
    "weaver",
    "yacht",
    "zebra",
]


def sentence(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) + rng.choice(["", "s", "al"]) for _ in range(count))


@pytest.fixture
def flt() -> Filter:
    return make_filter()


def make_filter(**split: Any) -> Filter:
    return small_filter(DIMENSIONS, split=split)


@pytest.fixture
def with_policy() -> Callable[..., Filter]:
    return make_filter


@pytest.fixture
def make_labels() -> Callable[..., Labels]:
    """`make_labels(n, seed=0)`: n distinct articles of 60 words; ids and texts depend on seed and position alone."""

    def make(count: int, seed: int = 0) -> Labels:
        labels = []
        for at in range(count):
            rng = random.Random(f"{seed}:{at}")
            article = Article(id=f"s{seed}-{at}", title=sentence(rng, 6), content=sentence(rng, 60), source="paper")
            labels.append(Label(article, {name: rng.randint(0, 20) / 2 for name in DIMENSIONS}))
        return labels

    return make


@pytest.fixture
def frame_of() -> Callable[[Labels], pa.Table]:
    return lambda labels: label_table(labels, DIMENSIONS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def keep(store: Store) -> Callable[[Labels], str]:
    """Stores labels as a label set and returns its digest."""
    return lambda labels: store.commit(
        "labelsets", {"labels.parquet": write_table(label_table(labels, DIMENSIONS))}, {"kind": "labels"}
    )
