"""`distillery registries`, and the commands that move a channel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from distillery.components.promotion import by_hand
from distillery.components.store import Store
from distillery.pipelines.cli.main import app
from tests.gating.judged import TEXT
from tests.mlflow_server import mlflow_server
from tests.promotion.made import BY_HAND, promoted


def file_of(folder: Path, uri: str) -> str:
    said = json.dumps({"registries": [{"mlflow": {"uri": uri}}]})
    path = folder / "filter.yaml"
    path.write_text(TEXT.replace("  oracle:", f"  promotion: {said}\n  oracle:", 1))
    return str(path)


def run(*words: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, [*words, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {"error": str(result.exception)}


def test_a_registry_that_is_behind_is_exit_code_1_and_is_made_right_later(store: Store, tmp_path: Path) -> None:
    adapter = promoted(store, 1)
    with mlflow_server() as server:
        flt = file_of(tmp_path, server.uri)
        server.broken = 403
        code, told = run("registries", flt, "--store", store.uri)
        assert (code, told["registries"][0]["state"]) == (1, "behind")
        server.broken = 0
        code, told = run("registries", flt, "--store", store.uri)
        assert (code, told["registries"][0]["state"]) == (0, "mended")
        assert run("registries", flt, "--store", store.uri)[1]["registries"][0]["state"] == "right"
        (version,) = server.models["demo"]["versions"]
        assert {"key": "distillery.adapter", "value": adapter} in version["tags"]


def test_a_rollback_is_followed_and_stands_where_the_registry_is_away(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "reproduce", BY_HAND["verify"])
    first, _ = promoted(store, 1), promoted(store, 2)
    with mlflow_server() as server:
        flt = file_of(tmp_path, server.uri)
        run("registries", flt, "--store", store.uri)
        code, told = run("rollback", flt, "--store", store.uri, "--reason", "odd", "--as", "ada")
        assert (code, told["adapter"]) == (0, first)
        assert server.models["demo"]["aliases"] == {"production": "2"}, "the first one is made when it serves again"
        assert len(server.models["demo"]["versions"]) == 2
        server.broken = 403
        code, told = run("rollback", flt, "--store", store.uri, "--to", first, "--reason", "odd", "--as", "ada")
        assert (code, told["adapter"]) == (0, first)


def test_a_filter_without_registries_is_one_line(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "filter.yaml"
    path.write_text(TEXT)
    result = CliRunner().invoke(app, ["registries", str(path), "--store", store.uri])
    assert "spec.promotion.registries" in str(result.exception)
