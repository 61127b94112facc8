from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings

from distillery.filters.filter import Filter
from distillery.filters.loading import load_filter_text

settings.register_profile("steady", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("steady")

TEXT = """\
apiVersion: llm-distillery.io/v1alpha1
kind: Filter
metadata: {name: demo}
spec:
  version: 1
  description: A filter for tests.
  scope:
    judge: Whether a technology helps.
    outOfScope: [gadgets]
  dimensions:
    - name: readiness
      weight: 1
      description: How close to everyday use it is.
      anchors: [{score: 0, meaning: an idea}, {score: 5, meaning: a pilot}, {score: 10, meaning: everywhere}]
    - name: benefit
      weight: 0.5
      description: How much good it does.
      anchors: [{score: 0, meaning: none}, {score: 5, meaning: some}, {score: 10, meaning: a lot}]
  tiers:
    - {name: high, when: "overall >= 6"}
    - {name: medium, when: "overall >= 4"}
    - {name: low}
  gatekeepers:
    - {when: "readiness < 3", cap: 2.9, because: lab-only technology}
  contentTypes:
    - {name: opinion, description: A column without facts., cap: 5.0, unless: "benefit >= 8"}
  oracle: {model: recorded}
  student: {baseModel: tiny/base}
  gates:
    - {metric: mae, below: 0.8}
"""


@pytest.fixture
def text() -> str:
    return TEXT


@pytest.fixture
def flt() -> Filter:
    return load_filter_text(TEXT, "demo.yaml")


@pytest.fixture
def changed() -> Callable[..., str]:
    """TEXT with one part replaced, which must be there exactly once."""

    def change(old: str, new: str) -> str:
        assert TEXT.count(old) == 1, old
        return TEXT.replace(old, new)

    return change
