"""A town of its own for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.pipelines.cluster import claims, submit
from tests.operator.growing import add, numbered, text
from tests.operator.world import Town


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    monkeypatch.setattr(claims, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(claims, "POLL_SECONDS", 0.01)
    return Town(tmp_path)


@pytest.fixture
def a_folder_is_as_good_as_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes to it; one test asks a bucket."""
    monkeypatch.setattr(submit, "upload", lambda store, path, **more: path)


@pytest.fixture
def grown(town: Town) -> Callable[..., Town]:
    """A filter that serves, of three articles; then more come."""

    def make(retrain: str = "", *come: str, **more: Any) -> Town:
        add(town, "a", *numbered(0, 3))
        town.objects.apply(text(town, retrain, **more))
        town.through()
        assert town.status()["phase"] == "Promoted"
        assert town.condition("NewArticles") == ("False", "AllTaken")
        if come:
            add(town, "b", *come)
        town.pass_over()
        return town

    return make
