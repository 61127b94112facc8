"""A filter, a corpus in which one word tells what belongs, and an oracle that answers by a function."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from distillery.components.articles.articles import Article
from distillery.components.labeling.oracles.base import RawReply, Request
from distillery.components.store import Store, open_store
from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text

FILTER = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 1
  description: A filter for tests.
  scope: {judge: Whether a technology helps., outOfScope: [sport]}
  dimensions:
    - {name: readiness, weight: 0.5, description: How close to everyday use it is.}
    - {name: benefit, weight: 0.5, description: How much good it does.}
  tiers: [{name: high, when: "overall >= 6"}, {name: low}]
  prefilter: {exclude: [football]}
  oracle: {model: recorded, maxWords: 60}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}]
"""
Scores = Callable[[Article], Mapping[str, float]]


class Scripted:
    """An oracle whose scores are a function of the article; `asked` counts the calls."""

    def __init__(self, scores: Scores, name: str = "scripted") -> None:
        self.scores, self.identity, self.asked = scores, {"provider": "test", "model": name}, 0

    async def ask(self, request: Request) -> RawReply:
        self.asked += 1
        return RawReply(json.dumps(dict(self.scores(request.article))))

    async def close(self) -> None:
        pass


def truth(article: Article) -> dict[str, float]:
    """What a good oracle says: high where the article is about solar heat, low where it is about anything else."""
    rng = random.Random(article.id)
    level = 8.0 if "solar" in article.content else 1.5
    return {name: min(10.0, max(0.0, round(level + rng.gauss(0, 1.2), 1))) for name in ("readiness", "benefit")}


def rows(count: int) -> list[dict[str, Any]]:
    """Every other article is on-topic; one in five off-topic ones is about football. Texts differ."""
    found = []
    for at in range(count):
        rng = random.Random(at)
        words = " ".join(rng.choice(("river", "bridge", "council", "harvest", "engine", "winter")) for _ in range(40))
        topic = "solar heat" if at % 2 else "football" if at % 10 == 0 else "the museum"
        row = {
            "id": f"a{at}",
            "title": f"Report {at}",
            "content": f"{topic} number {at}: {words * (1 + at % 3)}",
            "source": f"paper-{at % 7}",
        }
        level = 9.0 if at % 2 else 1.0
        found.append({**row, "reference": {"readiness": level, "benefit": level}})
    return found


@pytest.fixture
def flt() -> Filter:
    return load_filter_text(FILTER, "demo.yaml")


@pytest.fixture
def reworded() -> Filter:
    return load_filter_text(FILTER.replace("How much good", "How much real good"), "demo.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(400)), encoding="utf-8")
    return str(path)


@pytest.fixture
def oracle() -> Callable[..., Scripted]:
    """`oracle(scores=truth)`: one that answers so."""
    return lambda scores=truth, name="scripted": Scripted(scores, name)


@pytest.fixture
def marks_file(tmp_path: Path) -> str:
    """What a careful person would have saved, for the whole corpus."""
    path = tmp_path / "marks.json"
    path.write_text(json.dumps({row["id"]: "on" if "solar" in row["content"] else "off" for row in rows(400)}))
    return str(path)
