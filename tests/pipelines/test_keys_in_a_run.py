"""A planted key is found nowhere in a run: no object of the store (labels, events, report), no log, no result.

The oracle's server quotes the key where it can: in a reply that holds no scores, and in the words of a 401.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.labeling.label import label
from distillery.components.reporting.publish import publish
from distillery.components.runtime.step import step_context
from distillery.components.store import open_store
from distillery.components.store.layout import run_record_key
from distillery.filters.filter import Filter
from tests.labeling.oracles.servers import OpenAIServer
from tests.pipelines.harness import filter_document, label_rows, write_filter, write_rows

KEY = "sk-planted-fedcba9876543210"
SECRETS = {"ORACLE_API_KEY": KEY, "OPENAI_API_KEY": f"{KEY}-2", "AWS_SECRET_ACCESS_KEY": f"{KEY}-3", "HF_TOKEN": f"{KEY}-4"}
CHATTY = (
    "import logging, sys; logging.basicConfig(level=1); from distillery.pipelines.cli.main import main; "
    "sys.argv = ['distillery', *sys.argv[1:]]; main()"
)


def distill(folder: Path, base: Path, server: OpenAIServer, n: int = 60) -> subprocess.CompletedProcess[str]:
    """`distillery distill` with all logging on, over articles that the server is to label."""
    oracle = {"provider": "openai", "model": "m", "baseUrl": server.url, "apiKeyEnv": "ORACLE_API_KEY"}
    write_filter(folder / "filter.yaml", base, oracle=oracle, training={"epochs": 1, "batchSize": 16, "precision": "fp32"})
    rows = [{name: value for name, value in row.items() if name != "scores"} for row in label_rows(n)]
    write_rows(folder / "articles.jsonl", rows)
    return subprocess.run(
        [sys.executable, "-c", CHATTY, "distill", "filter.yaml", "--articles", "articles.jsonl", "--json",
         "--without-calibration", "a test"],
        cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OPENAI_LOG": "debug", **SECRETS},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def holding(folder: Path, done: subprocess.CompletedProcess[str], secret: str = KEY) -> list[str]:
    """Names of all that a run left behind and that holds the key."""
    found = [str(path.relative_to(folder)) for path in files(folder) if secret.encode() in path.read_bytes()]
    return found + [name for name, text in (("stdout", done.stdout), ("stderr", done.stderr)) if secret in text]


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def stored(folder: Path, pattern: str) -> str:
    (path,) = (folder / ".distillery" / "runs").glob(pattern)
    return path.read_text(encoding="utf-8")


def test_a_run_that_ends_with_a_report(tmp_path: Path, tiny_encoder: Path) -> None:
    asked: dict[str, int] = {}

    def fault(article: str, again: int) -> str | None:
        found = {3: "echo", 20: "429-after-ms", 30: "malformed"}.get(asked.setdefault(article, len(asked)))
        return found if found == "echo" or not again else None  # a dead letter, and two that are mended

    with OpenAIServer(fault=fault) as server:
        done = distill(tmp_path, tiny_encoder, server)
    assert done.returncode in (0, 3), done.stderr[-3000:]
    assert any(KEY in str(request.headers) for request in server.requests)
    assert holding(tmp_path, done) == []
    assert "[key]" in "".join(path.read_bytes().decode("utf-8", "replace") for path in files(tmp_path))  # quoted, and hidden
    assert "a test" in stored(tmp_path, "*/report.html")
    assert "a test" in stored(tmp_path, "*/report.md")
    assert json.loads(done.stdout)["gates"]


def test_a_step_in_a_pod_that_fails_over_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod a step keeps its events in the store; then the report says why the run stopped."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    store, articles = open_store(str(tmp_path / "store")), write_rows(tmp_path / "articles.jsonl", label_rows(24))
    with OpenAIServer(fault=lambda article, asked: "401") as server:
        oracle = {"provider": "openai", "model": "m", "baseUrl": server.url, "apiKeyEnv": "ORACLE_API_KEY"}
        key = publish_filter(store, Filter.model_validate(filter_document(tmp_path, oracle=oracle)))
        StepRecord.of("preflight", {"filter": key}, {"filter_key": key}, [key]).put(store, run_record_key("r1", "preflight"))
        with pytest.raises(SystemExit) as stop, step_context("label", store.uri, key, "r1") as step:
            label(step.store, step.filter, articles=str(articles), progress=step.progress)
    publish(store, "r1", failed=True, message="the step failed")
    assert stop.value.code == 2
    assert any(KEY in str(request.headers) for request in server.requests)
    assert [str(path) for path in files(tmp_path) if KEY.encode() in path.read_bytes()] == []
    for name in ("failure.json", "report.html", "report.md", "events/label.jsonl"):
        assert "[key]" in store.get(f"runs/r1/{name}").decode().replace("\\", ""), name


def test_the_search_itself_would_find_it(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "label.jsonl").write_text(f"…{SECRETS['HF_TOKEN']}…", encoding="utf-8")
    done = subprocess.CompletedProcess([], 0, stdout="", stderr=f"Bearer {KEY}")
    assert holding(tmp_path, done) == ["runs/label.jsonl", "stderr"]
