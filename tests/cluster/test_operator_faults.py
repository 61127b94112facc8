"""Whatever is killed, stopped or away, a change is one run, and the status is right in the end.

Here the operator is killed at random moments; tests/operator/test_faults.py kills it at each of its writes in turn.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store
from tests.cluster.harness import KFP_NAMESPACE, NAMESPACE, Cluster, wait_for
from tests.cluster.operated import (
    OPERATOR,
    a_filter,
    apply,
    changed,
    conditions,
    operating,
    processes,
    runs,
    status,
    tiny_base,
    until,
)
from tests.cluster.scoring import TOOL, part

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]
NAME, BACK = "shaken-town", 60.0  # seconds within which the operator is to be back


@pytest.fixture(scope="module")
def operator(cluster: Cluster, store: Store, kfp: Any) -> Iterator[None]:
    with operating(cluster, store, kfp, replicas=2):
        yield


@pytest.fixture(scope="module")
def first(store: Store, tiny_encoder: Path) -> dict[str, Any]:
    return a_filter(store, NAME, tiny_base(store, tiny_encoder))


def tiers(value: dict[str, Any], bound: int) -> dict[str, Any]:
    return changed(value, tiers=[{"name": "high", "when": f"overall >= {bound}"}, {"name": "low"}])


def kubeflow(cluster: Cluster, replicas: int) -> None:
    cluster.kubectl("scale", "deployment/ml-pipeline", "-n", KFP_NAMESPACE, f"--replicas={replicas}")


def test_an_operator_that_is_killed_at_random_moments_starts_one_run(
    cluster: Cluster, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    had, seed = runs(kfp, NAME), random.Random(5)
    apply(cluster, first)
    for _ in range(8):
        time.sleep(seed.uniform(0.5, 8))
        pods = [pod["metadata"]["name"] for pod in cluster.get("pods", *OPERATOR)["items"]]
        if pods:
            cluster.kubectl("delete", "pod", seed.choice(pods), "-n", NAMESPACE, "--grace-period=0", "--force", check=False)
    done = until(cluster, NAME, "Promoted")
    assert len(runs(kfp, NAME) - had) == 1
    assert conditions(done)["Ready"]["status"] == "True"


def test_a_replica_that_is_stopped_for_a_minute_starts_nothing_when_it_wakes_up(
    cluster: Cluster, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    before, had = until(cluster, NAME, "Promoted"), runs(kfp, NAME)
    pods = wait_for("two replicas", lambda: (found := processes(cluster)) and len(found) == 2 and found, 120)
    apply(cluster, tiers(first, 8))
    for each in pods[0]:
        os.kill(each, signal.SIGSTOP)
    try:
        begun = until(cluster, NAME, "Running", BACK)
        time.sleep(60)
    finally:
        for each in pods[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)
    done = until(cluster, NAME, "Promoted")
    assert (done["run"]["id"], done["digest"]) == (begun["run"]["id"], before["digest"])
    assert len(runs(kfp, NAME) - had) == 1


@pytest.mark.skipif(not TOOL.exists(), reason="the store can be stopped on the test cluster alone")
def test_while_store_and_kubeflow_are_away_the_status_says_so_and_then_one_run_begins(
    cluster: Cluster, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    until(cluster, NAME, "Promoted")
    had = runs(kfp, NAME)
    part("stop", "s3")
    try:
        apply(cluster, tiers(first, 7))
        told = until(cluster, NAME, "StoreUnreachable", BACK)
        assert conditions(told)["Ready"]["status"] == "Unknown"
        time.sleep(20)
        kubeflow(cluster, 0)
        cluster.kubectl(
            "wait", "--for=delete", "pod", "-n", KFP_NAMESPACE, "-l", "app=ml-pipeline", "--timeout=60s", check=False
        )
    finally:
        part("start", "s3")
    try:
        until(cluster, NAME, "KubeflowUnreachable", BACK)
        time.sleep(20)
    finally:
        kubeflow(cluster, 1)
        cluster.kubectl("rollout", "status", "deployment/ml-pipeline", "-n", KFP_NAMESPACE, "--timeout=120s")
    until(cluster, NAME, "Running", BACK)
    until(cluster, NAME, "Promoted")
    assert len(runs(kfp, NAME) - had) == 1


@pytest.mark.skipif(not TOOL.exists(), reason="the API server can be restarted on the test cluster alone")
def test_an_api_server_that_restarts_ten_times_costs_no_change_and_starts_none_twice(
    cluster: Cluster, kfp: Any, operator: None, first: dict[str, Any]
) -> None:
    apply(cluster, first)
    before, had = until(cluster, NAME, "Promoted"), runs(kfp, NAME)
    for restart in range(10):
        began = time.monotonic()
        if restart in (0, 5):
            apply(cluster, tiers(first, 5 if restart else 4))
        time.sleep(restart % 5)  # each at another moment of what goes on
        part("stop", "kube-apiserver")
        time.sleep(3)
        part("start", "kube-apiserver")
        wait_for("the API server", lambda: cluster.kubectl("get", "--raw", "/readyz", check=False) == "ok", BACK)
        time.sleep(max(0.0, began + 30 - time.monotonic()))
    apply(cluster, tiers(first, 3))
    wait_for("a look at what was applied after the last restart", lambda: status(cluster, NAME), BACK)
    done = until(cluster, NAME, "Promoted", 1200)
    assert done["digest"] == before["digest"]
    assert conditions(done)["Ready"]["status"] == "True"
    assert 2 <= len(runs(kfp, NAME) - had) <= 3  # the second change may be overtaken by the third before its run begins
