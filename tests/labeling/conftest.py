from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

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
  scope: {judge: Whether a technology helps.}
  dimensions:
    - {name: readiness, weight: 0.5, description: How close to everyday use it is.}
    - {name: benefit, weight: 0.5, description: How much good it does.}
  tiers: [{name: high, when: "overall >= 6"}, {name: low}]
  oracle: {model: recorded, maxWords: 60}
  student: {baseModel: tiny/base}
  gates: [{metric: mae, below: 0.8}]
"""


@pytest.fixture
def filter_text() -> str:
    return FILTER


@pytest.fixture
def flt() -> Filter:
    return load_filter_text(FILTER, "demo.yaml")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Iterable[Mapping[str, object]]], str]:
    """Writes rows to a JSONL file of this name; returns its path."""

    def to_file(name: str, rows: Iterable[Mapping[str, object]]) -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return to_file


@pytest.fixture
def replaying(flt: Filter) -> Callable[[str], Filter]:
    """The filter with the replay oracle over this file."""
    return lambda path: load_filter_text(FILTER.replace("recorded,", f"recorded, replies: '{path}',"), "demo.yaml")
