"""`distillery distill` through kfp.local with a tiny student: every branch, reuse, failure, kill and resume."""

from __future__ import annotations

import html
import json
import os
import pickle
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock

from tests.pipelines.harness import Ran, label_rows, run_distillery, write_filter, write_rows

HARD = "o'brien's python3-proj $HOME 100%"  # a folder whose name is text to a shell, to kfp.local and to a URL


class Promoted:
    """One promoted run that the tests of this module share: its folder, filter, labels and result."""

    def __init__(self, folder: Path, base: Path, labels: Path) -> None:
        self.folder, self.base, self.labels = folder, base, labels
        self.filter = write_filter(folder / "filter.yaml", base)
        self.first = self.distill()

    def distill(self, filter: Path | None = None, *more: str) -> Ran:
        return run_distillery("distill", filter or self.filter, "--labels", self.labels, "--json", *more, cwd=self.folder)

    def __call__(self, *arguments: str | Path) -> Ran:
        return run_distillery(*arguments, cwd=self.folder)


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, labels_file: Path, worker_id: str) -> Promoted:
    """Run once, whichever worker asks first; every other one gets a copy of its folder."""
    own = tmp_path_factory.mktemp("promoted") / HARD
    own.mkdir()
    if worker_id == "master":
        return Promoted(own, tiny_encoder, labels_file)
    kept = tmp_path_factory.getbasetemp().parent / "promoted.pickle"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            first = Promoted(own, tiny_encoder, labels_file)
            shutil.copytree(own, kept.with_suffix(""))
            kept.write_bytes(pickle.dumps(first))
            return first
    found = cast(Promoted, pickle.loads(kept.read_bytes()))
    shutil.copytree(kept.with_suffix(""), own, dirs_exist_ok=True)
    found.folder, found.filter = own, own / "filter.yaml"
    return found


def ran(result: dict[str, Any]) -> set[str]:
    return {step for step, found in result["steps"].items() if not found["reused"]}


def test_promoted_with_a_report_and_machine_readable_result(promoted: Promoted) -> None:
    assert promoted.first.code == 0, promoted.first.err
    result = promoted.first.json
    assert result["verdict"] == "promote"
    assert result["promoted"] == result["adapter"]
    assert {rule["metric"] for rule in result["gates"] if rule["verdict"] == "pass"} == {"mae", "articles", "skill"}
    assert [rule["metric"] for rule in result["gates"] if rule["verdict"] == "not applicable"] == ["mae_vs_incumbent"]
    assert len(result["gates"]) == 7
    report = promoted.folder / ".distillery" / "runs" / result["run"] / "report.html"
    assert "small-town" in report.read_text(encoding="utf-8")
    for subject in (promoted.filter, result["adapter"][:12]):
        entries = promoted("history", subject, "--json").json["history"]
        assert [entry["adapter"] for entry in entries] == [result["adapter"]]
    back = promoted("rollback", result["adapter"])
    assert (back.code, back.out) == (0, f"small-town/production → {result['adapter']}\n")


def test_what_the_report_says_to_type_does_the_run_again(promoted: Promoted, tmp_path: Path) -> None:
    """From another folder, with the settings, the store and the data of the run: nothing is left to do."""
    again = promoted.distill(None, "--set", "training.seed=3", "--max-rejects", "2", "--budget", "5")
    page = (promoted.folder / ".distillery" / "runs" / again.json["run"] / "report.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"<code>distillery (distill .*?)</code>", page)
    typed = f"{shlex.quote(sys.executable)} -m distillery.pipelines.cli.main {html.unescape(command)} --json"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["sh", "-c", typed], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert ran(result) <= {"preflight", "promote", "report"}
    assert result["digests"] == again.json["digests"]


def test_train_prints_its_figures(promoted: Promoted) -> None:
    trained = promoted("train", promoted.filter, "--labels", promoted.labels)
    assert trained.code == 0, trained.err
    assert re.search(r"train mae \d\.\d{3}, validation mae \d\.\d{3}, best epoch [12], epochs 2", trained.out)
    figures = promoted("train", promoted.filter, "--labels", promoted.labels, "--json").json["train"]
    assert 0 < figures["validation_mae"] < 10


def test_second_run_redoes_nothing_and_plan_said_so(promoted: Promoted) -> None:
    plan = promoted("plan", promoted.filter, "--labels", promoted.labels, "--json").json
    assert {step["action"] for step in plan["steps"]} == {"reuse"}
    again = promoted.distill()
    assert again.code == 0, again.err
    assert ran(again.json) <= {"preflight", "promote", "report"}
    assert again.json["digests"] == promoted.first.json["digests"]


def test_a_tier_redoes_arithmetic_only_and_a_training_setting_redoes_train(promoted: Promoted, tmp_path: Path) -> None:
    tiers = [{"name": "top", "when": "overall >= 7"}, {"name": "high", "when": "overall >= 5"}, {"name": "low"}]
    changed = write_filter(tmp_path / "tiers.yaml", promoted.base, tiers=tiers)
    plan = {
        step["step"]: step["action"] for step in promoted("plan", changed, "--labels", promoted.labels, "--json").json["steps"]
    }
    assert {step for step, action in plan.items() if action == "run"} == {"benchmark", "gate"}
    result = promoted.distill(changed)
    assert result.code == 0, result.err
    assert {"benchmark", "gate"} <= ran(result.json) <= {"preflight", "benchmark", "gate", "promote", "report"}
    assert result.json["adapter"] == promoted.first.json["adapter"]

    planned = promoted("plan", promoted.filter, "--labels", promoted.labels, "--set", "training.seed=4")
    assert "training.seed: 3 → 4" in planned.out
    assert "would run: train, predict, benchmark, gate" in planned.out


def test_score_benchmark_and_report_of_what_was_promoted(promoted: Promoted, tmp_path: Path) -> None:
    articles = write_rows(
        tmp_path / "articles.jsonl", [{k: v for k, v in row.items() if k != "scores"} for row in label_rows(30, 9)]
    )
    scored = promoted("score", promoted.filter, articles, "--out", tmp_path / "scores", "--format", "jsonl", "--json")
    assert scored.code == 0, scored.err
    assert scored.json["scored"] == 30
    assert (tmp_path / "scores" / "_SUCCESS").exists()

    others = write_rows(tmp_path / "others.jsonl", label_rows(60, 5))
    adapter = promoted.first.json["adapter"]
    judged = promoted("benchmark", adapter[:12], "--labels", others, "--json")
    assert judged.code == 0, judged.err
    wanted = {"mae", "rmse", "overall_mae", "spearman", "dimensions", "tiers", "baselines", "n"}
    assert wanted <= judged.json.keys()
    assert judged.json["n"] == 60
    assert set(judged.json["dimensions"]) == {"benefit", "evidence"}

    written = promoted("report", adapter, "--out", tmp_path / "report.html")
    assert written.code == 0, written.err
    assert adapter in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert promoted("report", promoted.filter, "--md", "--out", tmp_path / "report.md").code == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for piped in ([], ["--out", "-"]):  # nothing but the report is on standard output
        assert promoted("report", promoted.filter, "--md", *piped).out == text
    assert promoted("report", promoted.filter, "--md", "--json").json == {"markdown": text}


@pytest.fixture
def unpromoted(promoted: Promoted, tmp_path: Path) -> Path:
    """The store of the promoted run as it was before promotion, in a folder of the test's own: the student is there."""
    shutil.copytree(promoted.folder / ".distillery", tmp_path / ".distillery")
    shutil.rmtree(tmp_path / ".distillery" / "channels")
    return tmp_path


def test_gates_that_cannot_be_met_reject_and_promote_nothing(
    distillery: Callable[..., Ran], unpromoted: Path, promoted: Promoted
) -> None:
    hard = write_filter(unpromoted / "filter.yaml", promoted.base, gates=[{"metric": "mae", "below": 0.001}])
    rejected = distillery("distill", hard, "--labels", promoted.labels, "--json")
    assert rejected.code == 3, rejected.err
    assert rejected.json["verdict"] == "reject"
    assert rejected.json["promoted"] is None
    assert rejected.json["gates"][0]["verdict"] == "fail"
    assert distillery("history", hard, "--json").json["history"] == []
    assert not (unpromoted / ".distillery" / "channels").exists()


def test_approval_waits_without_a_process_and_approve_promotes(
    distillery: Callable[..., Ran], unpromoted: Path, promoted: Promoted
) -> None:
    careful = write_filter(
        unpromoted / "filter.yaml", promoted.base, promotion={"channel": "production", "approval": "required"}
    )
    held = distillery("distill", careful, "--labels", promoted.labels, "--json")
    assert held.code == 4, held.err
    assert held.json["verdict"] == "approve"
    assert held.json["promoted"] is None
    assert distillery("history", careful, "--json").json["history"] == []
    approved = distillery("approve", careful, held.json["adapter"], "--reason", "read its report")
    assert approved.code == 0, approved.err
    assert [e["adapter"] for e in distillery("history", careful, "--json").json["history"]] == [held.json["adapter"]]


@pytest.mark.slow
def test_after_a_rollback_the_nightly_run_promotes_nothing_and_says_who_said_so(
    distillery: Callable[..., Ran], unpromoted: Path, promoted: Promoted
) -> None:
    flt = write_filter(unpromoted / "filter.yaml", promoted.base)
    nightly = ("distill", flt, "--labels", promoted.labels, "--set", "training.seed=4")
    assert distillery("distill", flt, "--labels", promoted.labels, "--json").code == 0
    first = distillery(*nightly, "--json")
    assert (first.code, first.json["verdict"]) == (0, "promote"), first.err
    assert distillery("rollback", flt, "--reason", "it sells shoes", "--as", "bob").code == 0
    told = distillery(*nightly)
    assert (told.code, "NOT PROMOTED, production WAS ROLLED BACK FROM IT BY bob (it sells shoes): " in told.out) == (4, True)
    (typed,) = re.findall(r"^promote   distillery (promote .*)$", told.out, re.MULTILINE)
    assert distillery(*shlex.split(typed)).code == 0
    assert distillery(*nightly).code == 0
    assert distillery("history", flt, "--json").json["history"][0]["adapter"] == first.json["adapter"]


def test_gate_alone_ends_with_its_decision(promoted: Promoted, tmp_path: Path) -> None:
    hard = write_filter(tmp_path / "hard.yaml", promoted.base, gates=[{"metric": "mae", "below": 0.001}])
    careful = write_filter(
        tmp_path / "careful.yaml", promoted.base, promotion={"channel": "production", "approval": "required"}
    )
    for flt, decision, code in ((promoted.filter, "promote", 0), (hard, "reject", 3), (careful, "approve", 4)):
        gated = promoted("gate", flt, "--labels", promoted.labels, "--json")
        assert (gated.code, gated.json["gate"]["decision"]) == (code, decision), gated.err
    assert promoted("gate", hard, "--labels", promoted.labels).code == 3


def test_a_step_that_refuses_ends_with_2_and_still_a_report(
    distillery: Callable[..., Ran], tmp_path: Path, tiny_encoder: Path
) -> None:
    rows = [{**row, "scores": {"benefit": 5, "evidence": 5}} for row in label_rows(120)]
    same = write_rows(tmp_path / "same.jsonl", rows)
    flt = write_filter(tmp_path / "filter.yaml", tiny_encoder)
    refused = distillery("distill", flt, "--labels", same)
    assert refused.code == 2, refused.err
    assert refused.err.count("constant") == 1  # one line, not one of the step and one of the command
    assert "error: audit: " in refused.err
    (report,) = (tmp_path / ".distillery" / "runs").glob("*/report.html")
    assert "audit" in report.read_text(encoding="utf-8")


STEPS_TO_KILL = ["label", "train", "benchmark", "promote"]


def kill_in(step: str, command: list[str], folder: Path) -> None:
    """Start `command` and kill it with SIGKILL a moment after it began `step`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    before = set(folder.glob("distillery-*/events.jsonl"))
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        paths = set(folder.glob("distillery-*/events.jsonl")) - before
        events = [json.loads(row) for path in paths for row in path.read_text().splitlines()]
        if any(event["step"] == step and event["kind"] in {"started", "progress"} for event in events):
            break
        time.sleep(0.02)
    assert process.poll() is None, f"it ended before it could be killed in {step}"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)


def test_killed_in_one_step_after_another_it_ends_with_the_same_digests(promoted: Promoted, tmp_path: Path) -> None:
    arguments = ["distill", str(promoted.filter), "--labels", str(promoted.labels), "--json"]
    for step in STEPS_TO_KILL:
        kill_in(step, [sys.executable, "-m", "distillery.pipelines.cli.main", *arguments], tmp_path)
    again = run_distillery(*arguments, cwd=tmp_path)
    assert again.code == 0, again.err
    assert again.json["digests"] == promoted.first.json["digests"]
