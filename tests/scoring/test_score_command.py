"""`distillery score`: what it refuses before it does anything, and what Ctrl-C leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import distillery.components.scoring.cluster_plan as cluster_plan
import distillery.components.scoring.job as cluster
import distillery.components.scoring.job_manifest as manifest
from distillery.components.artifacts import adapter
from distillery.components.artifacts.adapter import Subject
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.pipelines.cli.main import app
from tests.scoring.played import ADAPTER, PLACE, Jobs
from tests.scoring.test_score import FILTER


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["score", "some-filter", "articles.jsonl", *arguments])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cancel"], "--cancel: is for a cluster"),
        (["--parallelism", "3"], "--parallelism: is for a cluster"),
        (["--namespace", "x"], "--namespace: is for a cluster"),
        (["--on", "cluster", "--format", "jsonl"], "--format: must be parquet on a cluster"),
        (["another.jsonl"], "ARTICLES another.jsonl: 3 words are one too many; several filters: distillery score A B --art"),
        (["--articles", "a", "--on", "cluster"], "--on cluster: takes one filter at a time"),
        (["--articles", "a", "--new-only", "--out", "x"], "--new-only: takes one filter at a time"),
        (["--new-only"], "--out: is needed"),
        (["--new-only", "--out", "x", "--shards", "3"], "--shards: is not for new files; parts follow the files"),
        (["--new-only", "--out", "x", "--on", "cluster", "--cancel"], "--cancel: is not for new files"),
    ],
)
def test_flags_that_dont_go_together(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    assert says in str(result.exception)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "find_place", lambda namespace="": Place("ns", "image:1", "", "", {}))


@pytest.mark.parametrize(("flag", "name"), [("--store", "--store file://"), ("--out", "--out /x")])
def test_a_cluster_reaches_no_folder_of_this_machine(place: None, tmp_path: Path, flag: str, name: str) -> None:
    arguments = {"--store": str(tmp_path)} if flag == "--store" else {"--store": "s3://b/m", "--out": "/x"}
    result = run("--on", "cluster", *(word for pair in arguments.items() for word in pair))
    assert isinstance(result.exception, InputError)
    assert name in str(result.exception)
    assert "no place that a cluster reaches" in str(result.exception)


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(
    place: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], s3_uri: str
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    out = SimpleNamespace(uri=f"{s3_uri}/scores/x")
    place = Place("ns", "", "", "", {})
    job = SimpleNamespace(adopted=False, name="score-x", left=[0], place=place, kubectl="kubectl -n ns …", out=out)
    monkeypatch.setattr(adapter, "find_adapter", lambda *_, **__: Subject(FILTER, "a" * 64))
    monkeypatch.setattr(cluster_plan, "plan_on_cluster", lambda *_, **__: SimpleNamespace(shards=1))
    monkeypatch.setattr(cluster, "submit", lambda *_, **__: job)
    monkeypatch.setattr(cluster, "follow", interrupted)
    result = run("--on", "cluster", "--store", s3_uri)
    assert result.exit_code == 130
    assert "the Job goes on: kubectl -n ns" in result.output
    assert f"with --cancel --out {s3_uri}/scores/x it is deleted" in result.output


class TestCancel:
    @pytest.fixture(autouse=True)
    def _scene(
        self, place: None, monkeypatch: pytest.MonkeyPatch, store: Store, plan: Plan, jobs: Jobs, tmp_path: Path
    ) -> None:
        self.store, self.plan, self.jobs = store, plan, jobs
        self.articles = f"{plan.corpus.where}/{plan.corpus.files[0].name}"
        monkeypatch.setattr(manifest, "find_place", lambda namespace="": PLACE)
        monkeypatch.setattr(adapter, "find_adapter", lambda *_, **__: Subject(FILTER, ADAPTER))

    def cancel(self, *arguments: str) -> Any:
        flags = ["--on", "cluster", "--store", self.store.uri, "--shards", "6", "--cancel"]
        return CliRunner().invoke(app, ["score", "demo", self.articles, *flags, *arguments])

    def test_the_job_of_these_inputs(self) -> None:
        job = cluster.submit(self.store, self.plan, PLACE)
        result = self.cancel()
        assert (result.exit_code, result.output) == (0, f"deleted {job.name}; finished parts stay\n")
        assert self.jobs.jobs == {}

    def test_nothing_that_matches_is_exit_code_2_and_the_jobs_there_are(self) -> None:
        """As after a promotion: what goes on is another job than this command's."""
        first = cluster.submit(self.store, replace(self.plan, adapter="b" * 64), PLACE)
        cluster.submit(self.store, replace(self.plan, filter="other"), PLACE)
        result = self.cancel()
        assert isinstance(result.exception, InputError)
        assert str(result.exception).startswith("--cancel: no unfinished Job has these inputs; add --out")
        assert result.output == f"unfinished: Job {first.name}, into {first.out.uri}\n"
        assert first.name in self.jobs.jobs

    def test_with_out_whatever_scores_there(self) -> None:
        first = cluster.submit(self.store, replace(self.plan, adapter="b" * 64), PLACE)
        self.articles = f"{self.store.uri}/there-is-no-corpus-any-more"
        result = self.cancel("--out", f"{first.out.uri}/")
        assert (result.exit_code, result.output) == (0, f"deleted {first.name}; finished parts stay\n")
        result = self.cancel("--out", first.out.uri)
        assert str(result.exception) == f"--cancel: no unfinished Job scores into {first.out.uri}; nothing is left to cancel"


def test_the_help_says_how_many_pods_at_most() -> None:
    assert "1,000 at most" in " ".join(CliRunner().invoke(app, ["score", "--help"], terminal_width=200).output.split())
