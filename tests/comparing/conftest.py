"""Adapters that were judged on stored splits, by fakes that read the scores from the text: no torch, no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.run_summary import remember_adapter
from distillery.components.benchmarking.benchmark import benchmark
from distillery.components.comparing.sides import Side, read_side
from tests.benchmarking.conftest import House, changed, flt, house, readers  # noqa: F401 - fixtures

Made = Callable[..., Side]


@pytest.fixture
def side(house: House, flt: Any) -> Made:  # noqa: F811
    """`side(reader, split)`: an adapter that was benchmarked, as a side."""
    from distillery.components.artifacts.adapter import find_summary

    def make(reader: Any, split: str, *, under: Any = None, name: str = "", **about: Any) -> Side:
        judging = under or flt
        adapter = house.adapter(reader, split, **{"label_variance": 4.0 + len(house.students), **about})
        record = benchmark(house.store, judging, adapter=adapter, split=split)
        remember_adapter(house.store, publish_filter(house.store, judging), adapter, record)
        return read_side(house.store, name or adapter[:12], find_summary(house.store, adapter))

    return make
