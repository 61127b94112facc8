"""The operator lets registries follow: when a channel moves, and once an hour; one that is away costs the object nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from distillery.pipelines.operator.reconcile import reconcile
from tests.gating.judged import TEXT
from tests.mlflow_server import MLflowServer, mlflow_server
from tests.operator.world import Town
from tests.promotion.made import promoted


@pytest.fixture
def server() -> Iterator[MLflowServer]:
    with mlflow_server() as running:
        yield running


def text_of(uri: str) -> str:
    said = json.dumps({"registries": [{"mlflow": {"uri": uri}}]})
    return TEXT.replace("  oracle:", f"  promotion: {said}\n  data: {{labels: LABELS}}\n  oracle:", 1)


def test_a_registry_follows_what_anybody_moved(town: Town, server: MLflowServer) -> None:
    promoted(town.store, 1)
    world = town.world()
    value = town.objects.apply(text_of(server.uri).replace("LABELS", str(town.labels)))
    status = reconcile(world, value).status
    assert server.models["demo"]["aliases"] == {"production": "1"}
    asked = len(server.asked)
    reconcile(world, value)
    assert len(server.asked) == asked, "nothing moved"
    promoted(town.store, 2)
    reconcile(world, value)
    assert server.models["demo"]["aliases"] == {"production": "2"}
    server.models["demo"]["aliases"].clear()
    town.time += 3601
    reconcile(world, value)
    assert server.models["demo"]["aliases"] == {"production": "2"}
    assert reconcile(replace(town.world(), store=town.store), value).status.keys() == status.keys(), "after a restart"


def test_a_registry_that_is_away_is_asked_again_and_changes_no_status(town: Town, server: MLflowServer) -> None:
    promoted(town.store, 1)
    server.broken = 403
    world, value = town.world(), town.objects.apply(text_of(server.uri).replace("LABELS", str(town.labels)))
    found = reconcile(world, value)
    assert found.trouble is None
    asked = len(server.asked)
    server.broken = 0
    reconcile(world, value)
    assert len(server.asked) == asked, "not before a minute has passed"
    town.time += 61
    reconcile(world, value)
    assert server.models["demo"]["aliases"] == {"production": "1"}
