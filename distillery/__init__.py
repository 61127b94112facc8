"""LLM Distillery: distil a large model's judgement of articles into a small student.

What a notebook or a program needs, in a dozen names; docs/python.md shows them at work. Each is imported when it is first
used, so `import distillery` itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distillery._facade import (
        Adapter,
        benchmark,
        gate,
        judge,
        label,
        open_adapter,
        report,
        score,
        train,
    )
    from distillery.components.store import open_store
    from distillery.filters.errors import InputError
    from distillery.filters.loading import load_filter

__all__ = [
    "Adapter",
    "InputError",
    "benchmark",
    "gate",
    "judge",
    "label",
    "load_filter",
    "open_adapter",
    "open_store",
    "report",
    "score",
    "train",
]

_ELSEWHERE = {
    "InputError": "distillery.filters.errors",
    "load_filter": "distillery.filters.loading",
    "open_store": "distillery.components.store",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("llm-distillery")
    if name not in __all__:
        raise AttributeError(f"module 'distillery' has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE.get(name, "distillery._facade")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
