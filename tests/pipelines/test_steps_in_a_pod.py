"""What a step finds in a pod: settings as files, the cluster's store, and a place for its last words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime import settings, step
from distillery.components.runtime.step import step_context, store_of_step
from distillery.components.store import StoreError, open_store
from distillery.filters.errors import InputError


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for last words, as Kubernetes mounts one."""
    words = tmp_path / "termination-log"
    words.touch()
    monkeypatch.setattr(step, "LAST_WORDS", words)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("DISTILLERY_STORE", raising=False)
    return words


def test_mounted_files_become_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name, text in [
        ("settings", "DISTILLERY_STORE", "s3://a/b\n"),
        ("settings", "DISTILLERY_QUEUE", ""),
        ("settings", "..data", "no setting"),
        ("store", "AWS_REGION", "eu-west-1"),
    ]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text, encoding="utf-8")
    for name in ("DISTILLERY_STORE", "DISTILLERY_QUEUE"):
        monkeypatch.setenv(name, "")  # so that what is set below is gone after the test, also where none was set before
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    settings.load_settings(tmp_path)
    assert os.environ["DISTILLERY_STORE"] == "s3://a/b"
    assert os.environ["AWS_REGION"] == "us-east-1"
    assert "DISTILLERY_QUEUE" not in os.environ
    settings.load_settings(tmp_path / "not mounted")


def test_an_empty_store_is_the_clusters_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILLERY_STORE", f"file://{tmp_path}/store")
    assert store_of_step("").uri == f"file://{tmp_path}/store"
    monkeypatch.delenv("DISTILLERY_STORE")
    with pytest.raises(InputError, match=r"^store: is empty"):
        store_of_step("")
    with pytest.raises(InputError, match=r"^store ftp://x: "):
        store_of_step("ftp://x")


def test_a_store_in_the_pod_itself_is_refused(pod: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in the pod"):
        store_of_step(str(tmp_path))


def test_bad_input_ends_with_2_and_one_line_where_kubernetes_looks(pod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, step_context("preflight", "", "", "run-1"):
        pass
    assert stop.value.code == 2
    assert capsys.readouterr().out.startswith("error: store: is empty")
    assert pod.read_text(encoding="utf-8").startswith("preflight: store: is empty")


@pytest.mark.parametrize(("run", "says"), [("", "label: labels l.jsonl: gone"), ("laptop", "label: --labels l.jsonl: gone")])
def test_a_pods_last_words_name_fields_and_a_laptops_name_options(
    pod: Path, tmp_path: Path, run: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "store_of_step", lambda uri: open_store(str(tmp_path)))
    monkeypatch.setenv("DISTILLERY_RUN", run)
    with pytest.raises(SystemExit), step_context("label", "", "", "run-1"):
        raise InputError("gone", where="l.jsonl", parameter="labels")
    assert pod.read_text(encoding="utf-8") == says


def test_a_store_that_stays_away_is_no_bad_input(pod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1: the same submission later goes on, and whoever tries again on 1 and gives up on 2 does right."""
    monkeypatch.setattr(step, "store_of_step", lambda uri: open_store(str(tmp_path)))
    with pytest.raises(SystemExit) as stop, step_context("label", "", "", "run-1"):
        raise StoreError("can't be reached (ConnectionClosedError)", where="s3://b") from ConnectionError("closed")
    assert stop.value.code == 1
    assert json.loads((tmp_path / "runs" / "run-1" / "failure.json").read_text())["kind"] == "stopped"
    with pytest.raises(SystemExit) as stop, step_context("label", "", "", "run-2"):
        raise StoreError("refuses access (AccessDenied)", where="s3://b") from ValueError("403")
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_thread_for_each_core_of_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert settings.cpu_limit(tmp_path) == cores
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    settings.limit_threads(tmp_path)
    assert (os.environ.get("OMP_NUM_THREADS"), os.environ["RAYON_NUM_THREADS"]) == (str(cores) if cores else None, "7")
    for name in settings.THREADS:
        monkeypatch.delenv(name, raising=False)


def test_a_step_that_was_killed_is_named_in_the_report(tmp_path: Path) -> None:
    from distillery.components.reporting.publish import NO_WORD, publish

    store = store_of_step(str(tmp_path))
    with step_context("preflight", store.uri, "", "run-2") as first:
        first.keep(StepRecord.of("preflight", {}, {"name": "x"}, []))
    for name in ("preflight", "train"):
        store.put(f"runs/run-2/events/{name}.jsonl", b"{}\n")
    pages = publish(store, "run-2", failed=True, message="")
    assert f"Stopped at step train: {NO_WORD}" in pages.verdict
    assert "Stopped: gone" in publish(store, "run-3", failed=True, message="gone").verdict


def test_a_run_whose_last_step_is_done_has_not_stopped(tmp_path: Path) -> None:
    """Kubeflow Pipelines 2.14 tells the exit task RUNNING, not SUCCEEDED, after a run with a branch that was not taken."""
    from distillery.components.reporting.publish import publish

    store = store_of_step(str(tmp_path))
    for name in ("preflight", "promote"):
        with step_context(name, store.uri, "", "run-4") as step:
            step.keep(StepRecord.of(name, {}, {"name": "x"}, []))
    assert "Stopped" not in publish(store, "run-4", failed=True, message="").verdict
