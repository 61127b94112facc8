"""Idle Filter objects are looked at, and nothing is written or run for them."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.idle_filters import cost


def test_idle_filters_cost_looks_and_nothing_else(tmp_path: Path) -> None:
    found = cost(tmp_path, 3)
    assert found.first > 0
    assert found.after >= found.before > 0
