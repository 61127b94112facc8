"""A filter, articles whose text says their true scores, and a student that reads them: no torch, no training."""

from __future__ import annotations

import json
import random
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distillery.components.articles.articles import Article, Label
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.bundle import StudentFacts
from distillery.components.artifacts.channel import Channel, Entry, serving
from distillery.components.artifacts.serving import Plan
from distillery.components.artifacts.split import FILES, test_digest
from distillery.components.store import Store, digest_json, open_store
from distillery.components.student.score_curves import ScoreCurves
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text
from tests.artifacts.made import made_split_meta
from tests.documents import curves_json, student_json

DIMENSIONS = ["readiness", "benefit"]
FP32 = Plan()
TEXT = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 1
  description: A filter for tests.
  scope: {judge: Whether a technology helps.}
  dimensions:
    - {name: readiness, weight: 0.5, description: How close to everyday use it is.}
    - {name: benefit, weight: 0.5, description: How much good it does.}
  tiers: [{name: high, when: "overall >= 6"}, {name: medium, when: "overall >= 4"}, {name: low}]
  gatekeepers: [{when: "readiness < 1", cap: 2.9, because: lab-only technology}]
  contentTypes: [{name: opinion, description: A column without facts., cap: 5.0}]
  oracle: {model: recorded}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}]
"""
WORDS = ["river", "bridge", "council", "harvest", "engine", "museum", "winter", "signal", "border", "garden", "copper"]


def make_filter(old: str = "", new: str = "") -> Filter:
    assert old in TEXT
    return load_filter_text(TEXT.replace(old, new), "demo.yaml")


def make_labels(count: int, *, seed: int = 0, truth: bool = False) -> list[Label]:
    """Labels 0-10 in halves, the same numbers standing in the text; `truth` adds references half a point higher."""
    labels = []
    for at in range(count):
        rng = random.Random(f"{seed}:{at}")
        scores = {name: rng.randint(0, 19) / 2 for name in DIMENSIONS}
        words = " ".join(rng.choice(WORDS) for _ in range(rng.choice([40, 200, 700])))
        said = " ".join(f"{name}={value}" for name, value in scores.items())
        article = Article(
            id=f"s{seed}-{at}",
            title=f"Article {seed} {at}",
            content=f"{said} {words}",
            source=rng.choice(["paper", "radio", "agency"]),
            language=rng.choice(["en", "nl"]),
            reference={name: value + 0.5 for name, value in scores.items()} if truth else None,
        )
        labels.append(Label(article, scores, "opinion" if at % 10 == 0 else None))
    return labels


Reader = Callable[[list[tuple[str, str]]], np.ndarray]


def reads(texts: list[tuple[str, str]]) -> np.ndarray:
    """The scores that stand in the text."""
    return np.array([[float(x) for x in re.findall(r"=([\d.]+)", content)[:2]] for _, content in texts])


def reads_with_noise(size: float) -> Reader:
    """As `reads`, off by up to `size`, always by the same amount for the same text."""

    def read(texts: list[tuple[str, str]]) -> np.ndarray:
        off = [[random.Random(f"{content}{i}").uniform(-size, size) for i in range(2)] for _, content in texts]
        return reads(texts) + np.array(off)

    return read


class FakeStudent:
    """Speaks as distillery.components.student.bundle.Student does."""

    def __init__(self, reader: Reader, facts: dict[str, Any]) -> None:
        self.reader, self.dimensions, self.calls = reader, facts["dimensions"], 0
        self.facts = StudentFacts.model_validate(facts)
        self.score_curves = ScoreCurves(True, [], 0.65, 0.55)

    def predict(self, texts: list[tuple[str, str]], progress: Any = None) -> np.ndarray:
        self.calls += 1
        return self.reader(texts)

    def scores(self, raw: np.ndarray) -> np.ndarray:
        return np.clip(raw, 0, 10)


class House:
    """A store with a split, and adapters that are fakes with a real student.json."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(str(folder))
        self.students: dict[str, FakeStudent] = {}

    def split(self, *, train: int = 120, test: int = 60, truth: bool = False, **meta: Any) -> str:
        labels = make_labels(train + 30 + test, truth=truth)
        parts = (labels[:train], labels[train : train + 30], labels[train + 30 :])
        frames = {name: label_table(part, DIMENSIONS) for name, part in zip(FILES, parts, strict=True)}
        known = {"test": test_digest(frames["test"]), "frozen": digest_json(sorted(frames["test"]["article"].to_pylist()))}
        files = {FILES[name]: write_table(frame) for name, frame in frames.items()}
        return self.store.commit("datasets", files, made_split_meta(**known, **meta))

    def adapter(self, reader: Reader, split: str, dimensions: list[str] = DIMENSIONS, **about: Any) -> str:
        student = student_json(dimensions=dimensions, split=split, **about)
        curves = curves_json(kept=True, validation_mae_calibrated=0.55)
        files = {"student.json": json.dumps(student).encode(), "calibration.json": json.dumps(curves).encode()}
        digest = self.store.commit("adapters/demo", files, {"kind": "adapter"})
        self.students[digest] = FakeStudent(reader, student)
        return digest

    def promoted(self, *adapters: str, action: str = "promote") -> None:
        """The channel as promotion leaves it; adapters newest first."""
        shared = {"verdict": "0" * 64, "filter": "filters/demo/v1/x.yaml", "at": "2026-01-01T00:00:00Z"}
        history = [Entry(adapter=adapter, action="promote", **shared) for adapter in adapters]
        history[0] = history[0].model_copy(update={"action": action})
        Channel(current=serving(history[0]), history=history).put(self.store, "channels/demo/production.json")

    def open_bundle(self, store: Store, name: str, digest: str, *, flt: Filter | None = None, plan: Plan = FP32) -> FakeStudent:
        return self.students[digest]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(tmp_path / "store")
    module = types.ModuleType("distillery.components.student.bundle")
    module.open_bundle = made.open_bundle  # type: ignore[attr-defined]
    module.check_golden = lambda student: 0.0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distillery.components.student.bundle", module)
    return made


@pytest.fixture
def flt() -> Filter:
    return make_filter()


@pytest.fixture
def changed() -> Callable[[str, str], Filter]:
    """The filter with one piece of its text replaced."""
    return make_filter


@pytest.fixture
def readers() -> types.SimpleNamespace:
    return types.SimpleNamespace(exact=reads, noisy=reads_with_noise)


@pytest.fixture
def labelled() -> Callable[..., Any]:
    """`labelled(n, seed=0, truth=False)`: a labelled frame."""
    return lambda count, **how: label_table(make_labels(count, **how), DIMENSIONS)
