"""The operator on a real cluster: a Filter object is applied, changed, reverted; one run each, and the status says so."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.components.artifacts.channel import read_channel
from distillery.components.store import Store
from tests.cluster.harness import BASE_MODEL, NAMESPACE, ROOT, Cluster, wait_for
from tests.filters.broken import BASE, BROKEN, CEL, SCHEMA, VALID, Broken, broken
from tests.pipelines.harness import KNOWINGLY, filter_document, label_rows

NAME = "operated-town"
LENIENT = [{"metric": "articles", "atLeast": 3.0}, {"metric": "mae", "below": 9.0}, *KNOWINGLY]


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
def operator(cluster: Cluster, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The operator as manifests/components/operator has it, on this test run's store."""
    if not (image := cluster.settings.get("DISTILLERY_IMAGE_OPERATOR")):
        pytest.skip("no image of the operator on this cluster: `make images`")
    folder = tmp_path_factory.mktemp("operator")
    shutil.copytree(ROOT / "manifests/components/operator", folder / "operator")
    name, _, tag = image.rpartition(":")
    ours = {"name": "DISTILLERY_STORE", "value": store.uri}
    patch = [{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": ours}]
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "components": ["operator"],
        "images": [{"name": "registry.example.com/distillery-operator", "newName": name, "newTag": tag}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(patch)}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
    rendered = cluster.kubectl("kustomize", str(folder))
    cluster.kubectl("apply", "-f", "-", stdin=rendered)
    cluster.kubectl("rollout", "status", "deployment/distillery-operator", "-n", NAMESPACE, "--timeout=180s", timeout=200)
    yield
    cluster.kubectl("delete", "filter", NAME, "-n", NAMESPACE, "--ignore-not-found")
    cluster.kubectl("delete", "--wait=false", "-f", "-", stdin=rendered)


def a_filter(store: Store, **changes: Any) -> dict[str, Any]:
    """A filter with sixty labels and one epoch."""
    data = "".join(json.dumps(row) + "\n" for row in label_rows(60)).encode()
    store.put("given/labels.jsonl", data)
    found = filter_document(Path("/nowhere"), gates=LENIENT)
    spec = found["spec"]
    spec["student"] |= {"baseModel": BASE_MODEL, "maxLength": 64}
    spec["training"] = {**spec.get("training", {}), "epochs": 1, "learningRate": 0.002, "precision": "fp32"}
    spec["data"] = {"labels": f"{store.uri}/given/labels.jsonl"}
    spec |= changes
    found["metadata"] = {"name": NAME, "namespace": NAMESPACE}
    return found


def apply(cluster: Cluster, value: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(value))


def status(cluster: Cluster) -> dict[str, Any]:
    """The status, once it is about the object as it is."""
    found = cluster.get("filter", NAME, "-n", NAMESPACE)
    now: dict[str, Any] = found.get("status") or {}
    return now if now.get("observedGeneration") == found["metadata"]["generation"] else {}


def runs(kfp: Any) -> set[str]:
    """The runs of the filter that Kubeflow has had."""
    found = kfp.client.list_runs(page_size=100, sort_by="created_at desc").runs or []
    return {run.run_id for run in found if run.display_name.startswith(f"{NAME}-")}


def until(cluster: Cluster, phase: str, seconds: float = 900) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        now = status(cluster)
        return now if now.get("phase") == phase else None

    found: dict[str, Any] = wait_for(f"phase {phase}", reached, seconds, 3)
    return found


def test_a_filter_that_is_applied_is_run_once_and_promoted_and_a_revert_brings_it_back(
    cluster: Cluster, store: Store, kfp: Any, operator: None
) -> None:
    before = runs(kfp)
    first = a_filter(store)
    apply(cluster, first)
    begun = until(cluster, "Running", 120)
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=operator", "--wait=false")
    done = until(cluster, "Promoted")
    assert done["run"]["id"] == begun["run"]["id"], "the operator that came after goes on with the run that it found"
    adapter = read_channel(store, NAME, "production").channel.adapter
    assert (done["digest"], done["verdict"]) == (adapter, "passed")
    shown = cluster.kubectl("get", "filters", "-n", NAMESPACE)
    print(shown)
    assert all(word in shown for word in ("Promoted", "passed", str(adapter)))
    events = {one["reason"] for one in cluster.get("events", "-n", NAMESPACE)["items"] if one["involvedObject"]["name"] == NAME}
    assert {"Promoted", "Ready"} <= events

    apply(cluster, {**first, "spec": {**first["spec"], "description": "The same, told otherwise."}})
    assert until(cluster, "Promoted", 60)["run"]["id"] == begun["run"]["id"], "a description runs nothing"

    tiers = [{"name": "high", "when": "overall >= 9"}, {"name": "low"}]
    apply(cluster, a_filter(store, tiers=tiers))
    until(cluster, "Running", 120)
    judged = until(cluster, "Promoted")
    assert judged["run"]["id"] != begun["run"]["id"]
    assert judged["digest"] == adapter, "judged again, not trained again"

    apply(cluster, first)
    time.sleep(5)
    again = until(cluster, "Promoted", 120)
    assert again["digest"] == adapter
    assert len(runs(kfp) - before) == 2
