"""No key of a filter is there for show: code somewhere reads it, or it is listed as Kubernetes' own or as having one value."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from distillery.filters import spec
from distillery.filters.filter import Filter
from distillery.filters.loading import INSTALLED

UNREAD = {
    "Metadata.namespace",
    "Metadata.labels",
    "Metadata.annotations",
    "Filter.apiVersion",
    "Filter.kind",
}
MODELS = [model for model in [*vars(spec).values(), Filter] if isinstance(model, type) and issubclass(model, BaseModel)]


@pytest.fixture(scope="module")
def code() -> str:
    root = INSTALLED.parent
    paths = [path for room in ("filters", "components", "pipelines") for path in sorted((root / room).rglob("*.py"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.name != "spec.py")


@pytest.mark.parametrize(
    "key", sorted({f"{model.__name__}.{name}" for model in MODELS for name in model.model_fields} - UNREAD)
)
def test_code_reads(key: str, code: str) -> None:
    assert re.search(rf"\.{key.split('.')[1]}\b", code), f"no code reads {key}"


def test_a_key_that_nobody_reads_would_be_found(code: str) -> None:
    assert not re.search(r"\.keyThatNobodyReads\b", code)
