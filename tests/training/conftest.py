"""A filter with two dimensions, articles whose words decide their scores, and a store that holds their split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.runtime.progress import Progress
from distillery.components.store import Store, open_store
from distillery.filters.filter import Filter
from tests.artifacts.made import made_split_meta

NAMES = ["reach", "proof"]
GOOD = {"reach": ("many", "city", "people", "grid"), "proof": ("study", "trial", "report", "years")}
FILLER = ["the", "farm", "opens", "with", "wind", "and", "a", "school", "near", "river", "for", "energy"]


def filter_of(folder: Path, **training: Any) -> Filter:
    return Filter.model_validate(
        {
            "apiVersion": "llm-distillery.io/v1alpha1",
            "kind": "Filter",
            "metadata": {"name": "tiny"},
            "spec": {
                "version": 1,
                "description": "for tests",
                "scope": {"judge": "articles"},
                "dimensions": [{"name": name, "weight": 0.5, "description": name} for name in NAMES],
                "tiers": [{"name": "all"}],
                "oracle": {"provider": "replay", "model": "none"},
                "gates": [{"metric": "mae", "below": 1.0}],
                "student": {"baseModel": str(folder), "maxLength": 64, "lora": {"r": 4, "alpha": 8, "dropout": 0.1}},
                "training": {"epochs": 3, "batchSize": 8, "learningRate": 5e-3, "precision": "fp32", **training},
            },
        }
    )


def articles(count: int, seed: int) -> tuple[list[tuple[str, str]], np.ndarray[Any, np.dtype[np.float64]]]:
    """(title, content) pairs and (count, 2) scores: how many telling words of each kind the text has, times two."""
    generator = np.random.default_rng(seed)
    texts, scores = [], []
    for number in range(count):
        levels = generator.integers(0, 5, 2)
        words = [str(word) for word in generator.choice(FILLER, generator.integers(5, 30))]
        for name, level in zip(NAMES, levels, strict=True):
            words += [str(word) for word in generator.choice(GOOD[name], level)]
        generator.shuffle(words)
        texts.append((f"{seed} {number}", " ".join(words)))
        scores.append(levels * 2.0)
    return texts, np.array(scores)


def store_split(
    store: Store,
    counts: tuple[int, int, int] = (96, 40, 20),
    seed: int = 0,
    text: str | None = None,
    languages: Sequence[str] = ("",),
) -> str:
    from distillery.components.articles.articles import Article, Label
    from distillery.components.articles.label_table import label_table, write_table
    from distillery.components.artifacts.split import FILES, test_digest
    from distillery.components.store import digest_json

    frames = []
    for part, count in enumerate(counts):
        texts, scores = articles(count, seed * 10 + part)
        labels = [
            Label(
                Article(f"{part}-{row}", title, content if text is None else text, language=languages[row % len(languages)]),
                dict(zip(NAMES, map(float, values), strict=True)),
            )
            for row, ((title, content), values) in enumerate(zip(texts, scores, strict=True))
        ]
        frames.append(label_table(labels, NAMES))
    files = {name: write_table(frame) for name, frame in zip(FILES.values(), frames, strict=True)}
    frozen = digest_json(sorted(frames[2]["article"].to_pylist()))
    meta = made_split_meta(test=test_digest(frames[2]), frozen=frozen)
    return str(store.commit("datasets", files, meta))


class Notes(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.calls: list[tuple[Any, ...]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __call__(self, done: int, total: int | None = None, unit: str = "", **facts: float | str) -> None:
        self.calls.append((done, total, unit, facts))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny matrices gain nothing from a second thread, and lose much where another process wants it."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_filter(tiny_encoder: Path) -> Callable[..., Filter]:
    return lambda **training: filter_of(training.pop("folder", tiny_encoder), **training)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def split(store: Store) -> str:
    return store_split(store)
