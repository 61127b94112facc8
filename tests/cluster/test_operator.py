"""The operator on a real cluster: an object is applied, changed, reverted, approved; one run each, and its status says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import read_channel
from distillery.components.store import Store
from tests.cluster.harness import NAMESPACE, Cluster
from tests.cluster.operated import OPERATOR, a_filter, apply, changed, conditions, operating, runs, tiny_base, until
from tests.filters.broken import BASE, BROKEN, CEL, SCHEMA, VALID, Broken, broken

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1500)]
NAME = "operated-town"


def admitted(cluster: Cluster, value: dict[str, Any]) -> str:
    """What the API server says of an object that is not stored; "" where it would take it."""
    try:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(value))
    except AssertionError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("one", BROKEN, ids=lambda one: one.check)
def test_a_broken_filter_is_refused_by_whom_the_page_says(cluster: Cluster, one: Broken) -> None:
    said = admitted(cluster, broken(one))
    assert bool(said) == (one.by in (SCHEMA, CEL)), said
    assert one.by != CEL or "Invalid value" in said


def test_a_whole_filter_is_taken(cluster: Cluster) -> None:
    assert admitted(cluster, BASE) == ""
    assert {one.by for one in BROKEN} == {SCHEMA, CEL, VALID}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, store: Store, kfp: Any) -> Iterator[None]:
    with operating(cluster, store, kfp):
        yield


@pytest.fixture(scope="module")
def first(store: Store, tiny_encoder: Path) -> dict[str, Any]:
    return a_filter(store, NAME, tiny_base(store, tiny_encoder))


def test_a_filter_that_is_applied_is_run_once_and_promoted_and_a_revert_brings_it_back(
    cluster: Cluster, store: Store, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    before = runs(kfp, NAME)
    apply(cluster, first)
    begun = until(cluster, NAME, "Running", 120)
    cluster.kubectl("delete", "pod", *OPERATOR, "--wait=false")
    done = until(cluster, NAME, "Promoted")
    assert done["run"]["id"] == begun["run"]["id"], "the operator that came after goes on with the run that it found"
    adapter = read_channel(store, NAME, "production").channel.adapter
    assert (done["digest"], done["verdict"]) == (adapter, "passed")
    shown = cluster.kubectl("get", "filters", "-n", NAMESPACE)
    print(shown)
    assert all(word in shown for word in ("Promoted", "passed", str(adapter)))
    events = {one["reason"] for one in cluster.get("events", "-n", NAMESPACE)["items"] if one["involvedObject"]["name"] == NAME}
    assert {"Promoted", "Ready"} <= events

    apply(cluster, changed(first, description="The same, told otherwise."))
    assert until(cluster, NAME, "Promoted", 60)["run"]["id"] == begun["run"]["id"], "a description runs nothing"

    apply(cluster, changed(first, tiers=[{"name": "high", "when": "overall >= 9"}, {"name": "low"}]))
    until(cluster, NAME, "Running", 120)
    judged = until(cluster, NAME, "Promoted")
    assert judged["run"]["id"] != begun["run"]["id"]
    assert judged["digest"] == adapter, "judged again, not trained again"

    apply(cluster, first)
    time.sleep(5)
    again = until(cluster, NAME, "Promoted", 120)
    assert again["digest"] == adapter
    assert len(runs(kfp, NAME) - before) == 2


def test_a_candidate_waits_without_a_pod_until_a_commit_approves_it(
    cluster: Cluster, store: Store, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    served = read_channel(store, NAME, "production").channel.adapter
    training = {**first["spec"]["training"], "seed": 5}
    other = changed(first, training=training, promotion={"approval": "required"})
    apply(cluster, other)
    waiting = until(cluster, NAME, "AwaitingApproval")
    candidate = waiting["adapter"]
    assert waiting["digest"] == served != candidate, "what is in production stays"
    row = conditions(waiting)["AwaitingApproval"]
    assert (row["status"], row["reason"]) == ("True", "Candidate")
    assert candidate in row["message"]
    assert waiting["report"] in row["message"]
    assert [each.adapter for each in read_channel(store, NAME, "production").channel.candidates] == [candidate]
    left = [pod for pod in cluster.pods(waiting["run"]["id"]) if pod["status"]["phase"] in ("Pending", "Running")]
    assert not left, "no pod waits"

    had = runs(kfp, NAME)
    approved = changed(other, promotion={"approval": "required", "approved": candidate[:12]})
    approved["metadata"] = {**other["metadata"], "annotations": {"llm-distillery.io/by": "an editor"}}
    apply(cluster, approved)
    done = until(cluster, NAME, "Promoted", 120)
    assert (done["digest"], done["adapter"]) == (candidate, candidate)
    newest = read_channel(store, NAME, "production").channel.history[0]
    assert (newest.adapter, newest.by) == (candidate, "an editor")
    assert runs(kfp, NAME) == had, "an approval runs nothing"
