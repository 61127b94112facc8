"""The smallest filter that is valid, for tests that need one but nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distillery.filters.filter import Filter


def small_filter(dimensions: Sequence[str], **spec: Any) -> Filter:
    """One tier, one gate, dimensions of equal weight; `spec` adds to its spec or replaces parts of it."""
    return Filter.model_validate(
        {
            "apiVersion": "llm-distillery.io/v1alpha1",
            "kind": "Filter",
            "metadata": {"name": "made-up"},
            "spec": {
                "version": 1,
                "description": "made up",
                "scope": {"judge": "articles"},
                "dimensions": [
                    {"name": name, "weight": round(1 / len(dimensions), 4), "description": name} for name in dimensions
                ],
                "tiers": [{"name": "all"}],
                "oracle": {"model": "none"},
                "student": {"baseModel": "none"},
                "gates": [{"metric": "mae", "below": 1.0}],
                **spec,
            },
        }
    )
