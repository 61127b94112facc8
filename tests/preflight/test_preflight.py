"""Preflight refuses what a run would fail of later, and lets every oracle through that needs no recorded replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.preflight.preflight import preflight
from components.step import read_filter
from components.store import Store, open_store
from filters.errors import InputError
from tests.pipelines.harness import filter_document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def check(store: Store, folder: Path, oracle: dict[str, str], **given: str) -> dict[str, str]:
    path = folder / "filter.yaml"
    path.write_text(json.dumps(filter_document(folder, oracle=oracle)), encoding="utf-8")
    arguments = {"articles": "", "labels": "", "profile": "", **given}
    outputs: dict[str, str] = preflight(store, ref=str(path), overrides=[], **arguments).outputs  # type: ignore[arg-type]
    return outputs


@pytest.fixture
def articles(tmp_path: Path) -> str:
    path = tmp_path / "articles.jsonl"
    path.write_text('{"id": "a", "title": "t", "content": "c"}\n', encoding="utf-8")
    return str(path)


def test_an_oracle_over_the_network_needs_no_recorded_replies(store: Store, tmp_path: Path, articles: str) -> None:
    outputs = check(store, tmp_path, {"provider": "openai", "model": "some-model"}, articles=articles)
    assert read_filter(store, outputs["filter_key"]).spec.oracle.provider == "openai"
    assert (outputs["articles"], outputs["labels"]) == (articles, "")


def test_replay_without_its_recordings_is_refused(store: Store, tmp_path: Path, articles: str) -> None:
    with pytest.raises(InputError, match="no recorded replies"):
        check(store, tmp_path, {"provider": "replay", "model": "recorded"}, articles=articles)
    missing = {"provider": "replay", "model": "recorded", "replies": str(tmp_path / "missing.jsonl")}
    with pytest.raises(InputError, match="no such file"):
        check(store, tmp_path, missing, articles=articles)
    assert not list(store.keys())


def test_labels_need_no_oracle(store: Store, tmp_path: Path, articles: str) -> None:
    assert check(store, tmp_path, {"provider": "replay", "model": "recorded"}, labels=articles)["labels"] == articles
