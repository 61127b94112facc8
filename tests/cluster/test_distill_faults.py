"""`distillery submit distill` on a real Kubeflow when something goes wrong: refused, killed, cut off, cancelled.

The student is trained once more here, with its pod deleted, in a store of its own.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.store import Store, open_store
from tests.cluster.harness import KFP_NAMESPACE, Cluster, run_distillery, wait_for
from tests.cluster.proxy import Link
from tests.cluster.runs import FILTER, Submitted, documented, flags
from tests.pipelines.harness import Ran

pytestmark = pytest.mark.timeout(1800)


def test_a_wrong_parameter_fails_the_first_step_with_its_name(
    cluster: Cluster, kfp: Any, distillery: Callable[..., Ran]
) -> None:
    """As from the form in the UI, where no command line has checked anything; `store` is left empty."""
    images = {key: cluster.settings[f"DISTILLERY_IMAGE_{key.upper()}"] for key in ("light", "torch")}
    version = kfp.published("distill", **images)
    labels = f"{cluster.settings['DISTILLERY_STORE']}/inputs/labels.jsonl"
    wrong = {"filter": FILTER, "labels": labels, "profile": "labtop"}
    run = kfp.start(version, f"wrong-{time.time():.0f}", wrong, experiment="tests")
    ran = distillery("submit", "--follow", run, "--store", cluster.settings["DISTILLERY_STORE"], timeout=400)
    assert ran.code == 2, ran.err
    assert "error: preflight: " in ran.err
    assert "profile" in ran.err
    assert "labtop" in ran.err
    found = kfp.get(run)
    assert found.state == "FAILED"
    ran_to_an_end = [pod for pod in cluster.pods(run) if _ran(pod)]
    assert len(ran_to_an_end) == 2, "preflight and the report, nothing else"
    (main,) = [_ran(pod) for pod in ran_to_an_end if _ran(pod)["exitCode"] != 0]
    seconds = _at(main["finishedAt"]) - _at(main["startedAt"])
    print(f"the first step refused after {seconds:.0f} s")
    assert seconds < 40


def _ran(pod: dict[str, Any]) -> Any:
    """How the container of a step ended; None for drivers, which are Kubeflow's own."""
    for status in pod["status"].get("containerStatuses", []):
        if status["name"] == "main" and "terminated" in status["state"] and "-impl-" in pod["metadata"]["name"]:
            return status["state"]["terminated"]
    return None


def _at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.fixture
def links(cluster: Cluster) -> Iterator[tuple[Link, Link]]:
    """A cuttable connection to Kubeflow and one to object storage."""
    both = Link(os.environ["KFP_ENDPOINT"]), Link(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ["AWS_ENDPOINT_URL"])
    yield both
    for link in both:
        link.close()


def test_a_deleted_training_pod_costs_no_digest(
    request: pytest.FixtureRequest, cluster: Cluster, store: Store, demo: Path, links: tuple[Link, Link]
) -> None:
    """The training pod dies after its first checkpoint; Kubeflow's next pod, or the same submission again, goes on from there.

    The inputs are the same in another store, so that all is done again; the second follower loses its connection on the way.
    """
    other = open_store(f"{store.uri}-killed")
    run_distillery(*documented("distillery models push")[1:-1], other.uri, check=True)
    arguments = ("distill", *flags(demo), "--store", other.uri, "--watch", "--json")
    first = Submitted(cluster, *arguments)
    first.wait_for("train: started", 900)
    wait_for("a checkpoint in the store", lambda: list(other.keys("checkpoints")), 300, 0.5)
    torch = cluster.settings["DISTILLERY_IMAGE_TORCH"]
    (training,) = [
        pod["metadata"]["name"]
        for pod in cluster.pods(first.run)
        if pod["status"]["phase"] == "Running" and any(torch == one["image"] for one in pod["spec"]["containers"])
    ]
    cluster.kubectl("delete", "pod", training, "-n", KFP_NAMESPACE, "--grace-period=0", "--force")
    code = first.end()
    assert code in (0, 1)
    if code:  # Kubeflow gave up on the pod; else it started another one, which went on from the checkpoint
        assert "error: train: " in first.said
        assert "goes on from the last finished step" in first.said

    api, objects = links
    again = Submitted(cluster, *arguments, KFP_ENDPOINT=api.url, AWS_ENDPOINT_URL_S3=objects.url)
    again.wait_for("preflight: started")
    for link in links:
        link.cut()
    wait_for("attempts through the cut", lambda: api.refused + objects.refused > 2, 60)
    time.sleep(10)
    for link in links:
        link.hint()
    code = again.end()
    assert code == 0, again.said
    assert "can't be reached" in again.said
    assert "answers again after" in again.said
    assert again.process.stdout
    result = json.loads(again.process.stdout.read())
    undisturbed: Ran = request.getfixturevalue("promoted")  # only now: the two have run side by side
    assert result["adapter"] == undisturbed.json["adapter"]
    assert "train: resumed in epoch" in first.said + again.said


def test_cancel_ends_a_run(cluster: Cluster, store: Store, demo: Path, kfp: Any, distillery: Callable[..., Ran]) -> None:
    """And a second submission of the same inputs, while the first runs, starts nothing."""
    given = ("submit", "distill", *flags(demo), "--set", "training.seed=5", "--store", store.uri, "--json")
    first = distillery(*given)
    assert first.code == 0, first.err
    run = first.json["run"]
    second = distillery(*given)
    assert (second.json["run"], second.json["started"]) == (run, False)
    ended = distillery(*documented("distillery submit --cancel")[1:-1], run, timeout=200)
    assert (ended.code, "cancelled" in ended.out) == (0, True), ended.err
    assert not kfp.active(run)
    followed = distillery("submit", "--follow", run, timeout=200)
    assert followed.code == 1
    assert "was cancelled" in followed.err
    wait_for("its pods to end", lambda: all(pod["status"]["phase"] != "Running" for pod in cluster.pods(run)), 90)
