"""A selection that is killed with SIGKILL between its candidates, as a user types it, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipelines.harness import filter_document, label_rows, run_distillery, write_rows

TWO = "candidates: [{name: one seed}, {name: another seed, set: {training.seed: 9}}]\n"
TYPED = ["select-student", "filter.yaml", "--candidates", "candidates.yaml", "--labels", "labels.jsonl", "--json"]


def made(folder: Path, base: Path) -> Path:
    folder.mkdir()
    (folder / "filter.yaml").write_text(json.dumps(filter_document(base)), encoding="utf-8")
    (folder / "candidates.yaml").write_text(TWO, encoding="utf-8")
    write_rows(folder / "labels.jsonl", label_rows(60))
    return folder


def adapters(folder: Path) -> list[Path]:
    return sorted(folder.glob(".distillery/adapters/*/*/manifest.json"))


@pytest.mark.slow
def test_the_same_command_goes_on_and_ends_with_the_same_selection(tmp_path: Path, tiny_encoder: Path) -> None:
    whole = run_distillery(*TYPED, cwd=made(tmp_path / "whole", tiny_encoder))
    assert whole.code == 0, whole.err
    folder = made(tmp_path / "killed", tiny_encoder)
    child = subprocess.Popen(
        [sys.executable, "-m", "distillery.pipelines.cli.main", *TYPED],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not list(folder.glob(".distillery/steps/train/*.json")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    (first,) = adapters(folder)
    assert not list(folder.glob(".distillery/selections/**/*.json"))
    written = first.stat().st_mtime_ns

    again = run_distillery(*TYPED, cwd=folder)
    assert again.code == 0, again.err
    assert again.json["selection"] == whole.json["selection"]
    assert again.json["candidates"] == whole.json["candidates"]
    assert len(adapters(folder)) == 2
    assert first.stat().st_mtime_ns == written
