"""`distillery logs`: what a run printed, by step, while it works and after, on this machine and in the pods of a cluster."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.artifacts.step_record import StepRecord
from distillery.components.remote import kubernetes as kube
from distillery.components.store import Store, StoreError, open_store
from distillery.components.store.layout import run_record_key
from distillery.filters.errors import InputError
from distillery.pipelines.cli.distill import _keep_log
from distillery.pipelines.cluster import logs as pods
from distillery.pipelines.laptop import logs, run
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.pipelines.harness import run_here

RUN = "20240102-030405-abcdef"
CLUSTER_RUN = "0b5fd3a4-6c2e-4a57-9b4c-5f7a5c0f3f5e"


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of temporary files, where no other test's run works."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(logs.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.02)
    monkeypatch.delenv("DISTILLERY_STORE", raising=False)
    monkeypatch.delenv("KFP_ENDPOINT", raising=False)
    return tmp_path / "tmp"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / ".distillery"))
    for name in (RUN, "20240102-040000-abcdef", CLUSTER_RUN):
        StepRecord.of("preflight", {}, {}, [], {}).put(store, run_record_key(name, "preflight"))
    return store


def scratch(own_scratch: Path, run: str = RUN) -> Path:
    folder = own_scratch / f"{logs.scratch_prefix(run)}x1_y2"
    folder.mkdir()
    return folder / logs.LOG


def printed(log: Path, step: str, *lines: str) -> None:
    logs.mark(log, step)
    with open(log, "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    logs.mark(log, logs.AROUND)


# ---- on this machine ------------------------------------------------------------------------------------------------


def test_a_log_is_kept_whole_and_cut_by_step(store: Store, own_scratch: Path, tmp_path: Path) -> None:
    log = scratch(own_scratch)
    log.write_text("starts\n", encoding="utf-8")
    printed(log, "preflight", "looked")
    printed(log, "train", "epoch 1", "\x1b[31mepoch 2\x1b[0m", "50%\r100%")
    logs.keep(store, RUN, log)
    log.unlink()
    whole = run_here("logs", RUN, cwd=tmp_path)
    assert (whole.code, whole.err) == (0, "")
    assert [line.split(maxsplit=1) for line in whole.out.splitlines()] == [
        ["run", "starts"], ["preflight", "looked"], ["train", "epoch 1"],
        ["train", "�[31mepoch 2�[0m"], ["train", "50%"], ["train", "100%"],
    ]  # fmt: skip
    step = run_here("logs", RUN[:12], "preflight", cwd=tmp_path)
    assert step.out == "looked\n"
    found = run_here("logs", RUN, "train", "--json", cwd=tmp_path).json
    assert (found["run"], found["lines"][0]) == (RUN, {"step": "train", "text": "epoch 1"})


def test_what_a_step_prints_is_no_mark_unless_it_reads_as_one(store: Store, own_scratch: Path) -> None:
    log = scratch(own_scratch)
    printed(log, "label", "\x1eNo Step", "\x1e", "\x1e../x", "preflight", "a\x1etrain")
    logs.keep(store, RUN, log)
    assert {line.step for line in logs.read_log(store, RUN)} == {"label"}


@pytest.mark.parametrize("seed", range(5))
def test_any_bytes_are_lines_and_none_is_lost(seed: int, store: Store, own_scratch: Path) -> None:
    rng, log = random.Random(seed), scratch(own_scratch)
    raw = [rng.randbytes(rng.randint(0, 60)).replace(b"\n", b"").replace(b"\r", b"").replace(b"\x1e", b"") for _ in range(200)]
    log.write_bytes(b"\n".join(raw) + rng.choice([b"", b"\n"]))
    logs.keep(store, RUN, log)
    found = list(logs.read_log(store, RUN))
    assert len(found) in (len(raw), len(raw) - (raw[-1] == b""))
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for line in found for character in line.text)


def test_a_run_that_works_is_followed_to_its_end(store: Store, own_scratch: Path, tmp_path: Path) -> None:
    log = scratch(own_scratch)
    log.touch()
    ready = threading.Event()

    def work() -> None:
        with logs.growing(log):
            printed(log, "preflight", "one")
            ready.set()
            for number in range(5):
                time.sleep(0.03)
                printed(log, "train", f"epoch {number}")
            with open(log, "a", encoding="utf-8") as file:
                file.write("a last line without an end")
            logs.keep(store, RUN, log)
        log.unlink()
        log.parent.rmdir()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(5)
    followed = [tuple(line) for line in logs.follow_log(store, RUN)]
    thread.join()
    assert followed == [tuple(line) for line in logs.read_log(store, RUN)]
    assert followed[-1] == ("run", "a last line without an end")
    again = run_here("logs", RUN, "-f", cwd=tmp_path)  # of a run that has ended it is the whole log, at once
    assert len(again.out.splitlines()) == len(followed)


def test_the_log_of_a_command_that_was_killed_is_read_where_it_lies(store: Store, own_scratch: Path, tmp_path: Path) -> None:
    log = scratch(own_scratch, "20240303-000000-123456")  # which left nothing in the store
    printed(log, "train", "killed here")
    for more in ([], ["-f"]):
        ran = run_here("logs", "20240303", *more, cwd=tmp_path)
        assert (ran.code, ran.out) == (0, "train      killed here\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no run 'nothing'; see `distillery get runs`"),
        (["2024"], "2 runs are meant by '2024'; write more of its name"),
        ([RUN], f"run {RUN}: no log was kept; it ran elsewhere"),
        ([CLUSTER_RUN[:8]], f"ran on a cluster; name it whole: distillery logs {CLUSTER_RUN}"),
        ([RUN, "-f", "--json"], "--json: prints one object, and --follow goes on"),
    ],
)
def test_a_log_that_is_not_there_is_one_line(store: Store, tmp_path: Path, words: list[str], said: str) -> None:
    ran = run_here("logs", *words, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "") or "--json" in words
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_step_that_printed_nothing_names_those_that_did(store: Store, own_scratch: Path, tmp_path: Path) -> None:
    printed(scratch(own_scratch), "train", "x")
    ran = run_here("logs", RUN, "gate", cwd=tmp_path)
    assert (ran.code, ran.err) == (2, f"error: run {RUN}: step gate printed nothing; it has: train\n")


def test_a_store_that_is_away_spoils_no_result(
    store: Store, own_scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def away(self: Store, *_: Any) -> None:
        raise StoreError("can't be reached", where="s3://x", hint="look")

    monkeypatch.setattr(Store, "put", away)
    log = scratch(own_scratch)
    _keep_log(store, RUN, log)  # there is none
    assert capsys.readouterr().err == ""
    log.write_text("x", encoding="utf-8")
    _keep_log(store, RUN, log)
    assert capsys.readouterr().err.startswith("the log was not kept: s3://x: can't be reached")


def test_the_steps_of_a_graph_are_marked(tmp_path: Path) -> None:
    (tmp_path / run.LOG).write_text("kfp says\n", encoding="utf-8")

    def task(command: list[str], **_: Any) -> int:
        with open(tmp_path / run.LOG, "a", encoding="utf-8") as file:
            file.write("a step says\n")
        return 0

    run.told(task, tmp_path)(["x", "--function_to_execute", "split"])
    text = (tmp_path / run.LOG).read_text(encoding="utf-8")
    assert text == "kfp says\n\x1esplit\na step says\n\x1erun\n"


# ---- in pods --------------------------------------------------------------------------------------------------------


class Cluster:
    """The part of the API of pods that is used. `pods` are by name: step, phase and lines."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.on_list: Callable[[], None] = lambda: None
        self.asked: list[dict[str, Any]] = []

    def add(self, name: str, step: str, *lines: str, phase: str = "Succeeded") -> None:
        self.pods[name] = {"step": step, "phase": phase, "lines": list(lines)}

    def list_namespaced_pod(self, namespace: str, label_selector: str, **_: Any) -> Any:
        assert label_selector == f"pipeline/runid={CLUSTER_RUN}"
        self.on_list()
        return SimpleNamespace(
            items=[self._pod(n, name) for n, name in enumerate(self.pods)] if namespace == "kubeflow" else []
        )

    def _pod(self, number: int, name: str) -> Any:
        pod = self.pods[name]
        words = ["sh", "-c", "x", "--executor_input", "{}", "--function_to_execute", pod["step"]] if pod["step"] else None
        main = SimpleNamespace(name="main", command=["/kfp-launcher/launch"], args=words)
        return SimpleNamespace(
            metadata=SimpleNamespace(name=name, creation_timestamp=f"2026-01-01T00:00:{number:02d}Z"),
            spec=SimpleNamespace(containers=[SimpleNamespace(name="wait", command=None, args=None), main]),
            status=SimpleNamespace(phase=pod["phase"]),
        )

    def read_namespaced_pod_log(self, name: str, namespace: str, *, _preload_content: bool, **more: Any) -> Any:
        from kubernetes.client.exceptions import ApiException

        self.asked.append({"name": name, **more})
        if self.pods[name]["phase"] == "Pending":
            raise ApiException(status=400, reason="waiting to start")
        # Two lines of one moment, as of one write.
        lines = [f"2026-01-01T00:00:00.{n // 2:09d}Z {line}\n" for n, line in enumerate(self.pods[name]["lines"])]
        return SimpleNamespace(data="".join(lines).encode("utf-8", "surrogateescape"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    played = Cluster()
    monkeypatch.setattr(kube, "core", lambda: played)
    monkeypatch.setattr(pods, "POLL_SECONDS", 0.01)
    return played


def test_the_pods_of_a_run_are_told_apart_by_their_step(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add("driver", "", "of Kubeflow")
    cluster.add("a-impl-1", "preflight", "looked")
    cluster.add("a-impl-2", "train", "epoch 1", "\x1b[2Jepoch 2")
    ran = run_here("logs", CLUSTER_RUN, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "preflight  looked\ntrain      epoch 1\ntrain      �[2Jepoch 2\n")
    assert run_here("logs", CLUSTER_RUN, "preflight", cwd=tmp_path).out == "looked\n"
    found = run_here("logs", CLUSTER_RUN, "train", "--json", cwd=tmp_path).json
    assert [line["text"] for line in found["lines"]] == ["epoch 1", "�[2Jepoch 2"]
    assert {asked["container"] for asked in cluster.asked} == {"main"}


def test_what_follows_a_bar_of_progress_or_foreign_bytes_is_printed(cluster: Cluster, tmp_path: Path) -> None:
    """The runtime ends lines of a log at newlines alone, and stamps each once; a bar is one line."""
    cluster.add("a-impl-1", "train", "starts", "\rLoading:   0%\rLoading: 100%", "a\u2028b \x0c\x85c", "\udcff", "epoch 1", "")
    found = run_here("logs", CLUSTER_RUN, "train", "--json", cwd=tmp_path).json
    lines = [line["text"] for line in found["lines"]]
    assert lines[:3] == ["starts", "Loading:   0%", "Loading: 100%"]
    assert lines[4:] == ["�", "epoch 1", ""]
    assert lines[3][0] == "a"
    assert lines[3][-1] == "c"


def test_pods_that_are_gone_are_said_with_where_the_ui_is(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run_here("logs", CLUSTER_RUN, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: run {CLUSTER_RUN}, namespace kubeflow: the cluster has no pod of it; Kubeflow removes pods after a while\n"
    )
    cluster.add("a-impl-1", "preflight", "looked")
    assert (
        "no pod of step train; there are preflight; name one of these"
        in run_here("logs", CLUSTER_RUN, "train", cwd=tmp_path).err
    )
    cluster.pods.clear()
    with FakeKubeflow() as fake:
        fake.runs[CLUSTER_RUN] = {"run_id": CLUSTER_RUN, "state": "SUCCEEDED"}
        monkeypatch.setenv("KFP_ENDPOINT", fake.endpoint)
        monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://ui.example.com")
        ran = run_here("logs", CLUSTER_RUN, cwd=tmp_path)
        assert f"what was archived is in the UI: https://ui.example.com/#/runs/details/{CLUSTER_RUN}" in ran.err
        unknown = run_here("logs", CLUSTER_RUN.replace("0", "1"), cwd=tmp_path)
        assert (unknown.code, "no run 1b5fd3a4" in unknown.err) == (2, True)


def test_a_run_in_pods_is_followed_to_its_end_and_each_line_printed_once(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeKubeflow() as fake:
        fake.runs[CLUSTER_RUN] = {"run_id": CLUSTER_RUN, "state": "RUNNING"}
        calls = itertools.count()

        def later() -> None:
            number = next(calls)
            if number == 0:
                cluster.add("a-impl-1", "preflight", "looked", phase="Running")
            elif number == 1:
                cluster.pods["a-impl-1"]["phase"] = "Succeeded"
                cluster.pods["a-impl-1"]["lines"].append("done")
                cluster.add("a-impl-2", "train", phase="Pending")
            elif number < 9:
                cluster.pods["a-impl-2"]["phase"] = "Running"
                cluster.pods["a-impl-2"]["lines"].append(f"epoch {number}")
            else:
                cluster.pods["a-impl-2"]["phase"] = "Failed"
                fake.runs[CLUSTER_RUN]["state"] = "FAILED"

        cluster.on_list = later
        monkeypatch.setenv("KFP_ENDPOINT", fake.endpoint)
        ran = run_here("logs", CLUSTER_RUN, "-f", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "preflight  looked", "preflight  done", *(f"train      epoch {number}" for number in range(2, 9)),
    ]  # fmt: skip
    assert all("since_seconds" in asked for asked in cluster.asked[3:] if asked["name"] == "a-impl-2")


def test_following_needs_a_kubeflow_that_says_when_a_run_ends(cluster: Cluster, tmp_path: Path) -> None:
    ran = run_here("logs", CLUSTER_RUN, "-f", "--json", cwd=tmp_path)
    assert json.loads(ran.out)["error"]["code"] == 2
    ran = run_here("logs", CLUSTER_RUN, "-f", cwd=tmp_path)
    assert (ran.code, "KFP_ENDPOINT" in ran.err) == (2, True)


def test_an_account_that_may_not_list_pods_is_told_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.client.exceptions import ApiException

    def refuse(*_: Any, **__: Any) -> None:
        raise ApiException(status=403, reason="Forbidden")

    monkeypatch.setattr(cluster, "list_namespaced_pod", refuse)
    with pytest.raises(InputError, match="Kubernetes refuses"):
        pods.run_pods(CLUSTER_RUN)
