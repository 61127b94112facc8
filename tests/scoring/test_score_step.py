"""The pipeline's step: what it refuses, the Job it ends when it is ended, and the pod that autoscalers leave alone."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

import distillery.components.scoring.step as step
from distillery.components.artifacts.channel import Entry
from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion.move import change
from distillery.components.runtime.progress import Progress
from distillery.components.scoring.job import submit
from distillery.components.scoring.plan import Plan
from distillery.components.scoring.step import score_on_cluster
from distillery.components.store import Store, open_store
from distillery.filters.errors import InputError, Stopped
from distillery.filters.filter import Filter
from tests.pipelines.harness import compile_alone
from tests.scoring.played import ADAPTER, PLACE, Jobs, Pods, do, end
from tests.scoring.test_score import FILTER


@pytest.fixture
def articles(store: Store, plan: Plan, jobs: Jobs, pods: Pods, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of a corpus, on a cluster where an adapter of filter `demo` is promoted."""
    key = publish_filter(store, FILTER)
    entry = Entry(adapter=ADAPTER, verdict="0" * 64, filter=key, action="promote", at="now")
    change(store, "demo", "production", lambda now: now.moved(entry))
    monkeypatch.setattr(step, "find_place", lambda: PLACE)
    return f"{plan.corpus.where}/{plan.corpus.files[0].name}"


@pytest.mark.parametrize("out", ["scores/nightly", "/scores", "file:///scores"])
def test_an_out_in_the_pod_itself_is_refused(store: Store, articles: str, jobs: Jobs, out: str) -> None:
    with pytest.raises(InputError, match=r"^out: must be an s3:// address; "):
        score_on_cluster(store, "demo", articles, out=out)
    assert jobs.created == []


def test_whoever_scores_on_a_cluster_is_told_of_caps(
    store: Store, articles: str, plan: Plan, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(store: Store, flt: Filter, adapter: str, progress: Progress) -> None:
        told.append(f"{flt.name} {adapter}")
        raise InputError("enough")

    monkeypatch.setattr(step, "tell_caps", tell)
    with pytest.raises(InputError, match="enough"):
        score_on_cluster(store, "demo", articles)
    assert told == [f"demo {ADAPTER}"]
    assert jobs.created == []


def test_scored_and_recorded(store: Store, articles: str, plan: Plan, jobs: Jobs) -> None:
    out = f"{store.uri}/nightly"

    def work(job: Any) -> None:
        do(submitted, plan, *range(6))
        job.status.completed_indexes = "0-5"
        end(job, "Complete")

    submitted = open_store(out)
    jobs.on_read = work
    record = score_on_cluster(store, "demo", articles, shards=6, out=out)
    assert (record.outputs["scores"], record.outputs["articles"]) == (out, 60)


def test_a_run_that_is_ended_deletes_its_own_job_alone(store: Store, articles: str, plan: Plan, jobs: Jobs) -> None:
    other = submit(store, plan, PLACE, out=f"{store.uri}/elsewhere")

    def terminate(job: Any) -> None:
        jobs.on_read = lambda _: None
        os.kill(os.getpid(), signal.SIGTERM)

    jobs.on_read = terminate
    with pytest.raises(Stopped, match="its Job was deleted"):
        score_on_cluster(store, "demo", articles, shards=6)
    assert len(jobs.created) == 2
    assert list(jobs.jobs) == [other.name]


def test_autoscalers_leave_the_waiting_pod_alone() -> None:
    """It can't tell an eviction from a cancel, and deletes its Job."""
    version = compile_alone("score")
    (settings,) = version.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert settings["podMetadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
