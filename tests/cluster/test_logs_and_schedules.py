"""On a real Kubeflow: the logs of a run's pods, a corpus scored by the score pipeline, and a run that a clock starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import KFP_NAMESPACE, wait_for
from tests.cluster.runs import FILTER, flags
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(900)


def test_the_pods_of_a_run_tell_what_they_printed(promoted: Ran, distillery: Callable[..., Ran]) -> None:
    run = promoted.json["run"]
    ran = distillery("logs", run, "--namespace", KFP_NAMESPACE)
    assert ran.code == 0, ran.err
    steps = [line.split()[0] for line in ran.out.splitlines() if line]
    assert {"preflight", "train"} <= set(steps)
    train = distillery("logs", run, "train", "-f", "--namespace", KFP_NAMESPACE)
    assert (train.code, bool(train.out)) == (0, True), train.err
    assert distillery("logs", run, "nosuch", "--namespace", KFP_NAMESPACE).code == 2


def test_a_corpus_is_scored_by_the_score_pipeline(
    promoted: Ran, distillery: Callable[..., Ran], store: Store, demo: Path
) -> None:
    ran = distillery("submit", "score", FILTER, demo / "articles.jsonl", "--store", store.uri, "--watch", "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["scored"] + found["prefiltered"] + found["rejected"] == 300
    assert found["adapter"] == promoted.json["adapter"]
    assert "score: done" in ran.err or "score: reused" in ran.err


def test_a_clock_starts_a_run_and_is_suspended(
    promoted: Ran, distillery: Callable[..., Ran], store: Store, demo: Path, kfp: Any
) -> None:
    words = ["schedule", *flags(demo), "--store", store.uri, "--cron", "* * * * *", "--json"]
    dry = distillery(*words[:-1], "--dry-run")
    assert (dry.code, dry.json["cron"]) == (0, "0 * * * * *"), dry.err
    made = distillery(*words)
    try:
        assert (made.code, made.json["done"]) == (0, "created"), made.err
        assert distillery(*words).json["done"] == "unchanged"
        (listed,) = distillery("get", "schedules", FILTER, "--json").json["items"]
        assert (listed["cron"], listed["state"]) == ("0 * * * * *", "enabled")

        def started() -> list[str]:
            runs = kfp.client.list_runs(page_size=100, sort_by="created_at desc").runs or []
            return [run.run_id for run in runs if run.recurring_run_id == made.json["id"]]

        run = wait_for("a run that the clock started", started, seconds=180)[0]
        assert distillery("suspend", FILTER).code == 0
        assert distillery("get", "schedules", FILTER, "--json").json["items"][0]["state"] == "suspended"
        refused = distillery("suspend", FILTER, "--delete")
        assert (refused.code, "goes on" in refused.err) == (1, True)
        assert distillery("submit", "--cancel", run, "--store", store.uri).code == 0
        wait_for("the run's end", lambda: kfp.client.get_run(run).state in ("FAILED", "CANCELED"), seconds=180)
    finally:
        assert distillery("suspend", FILTER, "--delete").code == 0
    assert distillery("get", "schedules", FILTER, "--json").json["items"] == []
