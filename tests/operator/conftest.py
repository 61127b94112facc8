"""A town of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillery.pipelines.cluster import claims
from tests.operator.world import Town


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(claims, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(claims, "POLL_SECONDS", 0.01)
    return Town(tmp_path)
