"""A pass with nothing of ours replaced: the API server, Kubeflow and S3 are asked over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import kube_config

from distillery.components.artifacts.run_summary import Failure
from distillery.components.preflight.preflight import resolve_filter
from distillery.components.remote import kubernetes as remote
from distillery.components.store import Store, open_store
from distillery.components.store.layout import failure_key
from distillery.filters.loading import load_filter
from distillery.pipelines.cluster.kubeflow import Kubeflow
from distillery.pipelines.operator.kubernetes import Cluster
from distillery.pipelines.operator.main import Operator
from distillery.pipelines.operator.reconcile import World
from tests.operator.fake_api import FakeApi
from tests.pipelines.fake_kubeflow import FakeKubeflow
from tests.store.conftest import s3_server, s3_uri  # noqa: F401 - fixtures

FILTER = "sustainability-technology"


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflow]:
    with FakeKubeflow() as running:
        running.publish("distill-000000000001")
        yield running


@pytest.fixture
def store(s3_uri: str) -> Store:  # noqa: F811
    return open_store(s3_uri)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi(tmp_path) as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(running.kubeconfig))  # read when it is imported
        remote._api_client.cache_clear()
        yield running
    remote._api_client.cache_clear()


def a_filter(store: Store) -> dict[str, Any]:
    """One of ours with recorded replies, as a team has it in Git and the API server in JSON: whole numbers are whole there."""
    for name in ("articles", "replies"):
        store.put(f"given/{name}.jsonl", b'{"id": "1", "title": "t", "content": "c", "reply": "{}"}\n')
    spec = load_filter(FILTER, profile="laptop").model_dump(mode="json", exclude_none=True)["spec"]
    spec["oracle"] |= {"provider": "replay", "replies": f"{store.uri}/given/replies.jsonl"}
    spec["data"] = {"articles": f"{store.uri}/given/articles.jsonl"}
    spec["run"] = {"marks": "reference", "budget": 1}
    text = json.dumps(yaml.safe_load(yaml.safe_dump(spec))).replace("10.0", "10").replace("0.0,", "0,")
    metadata = {
        "name": FILTER,
        "namespace": "distillery",
        "uid": "u1",
        "generation": 1,
        "resourceVersion": "1",
        "managedFields": [],
    }
    return {"apiVersion": "llm-distillery.io/v1alpha1", "kind": "Filter", "metadata": metadata, "spec": json.loads(text)}


def test_a_pass_over_http(store: Store, kubeflow: FakeKubeflow, api: FakeApi) -> None:
    api.items.append(a_filter(store))
    ours = Operator(World(store, lambda: Kubeflow(kubeflow.endpoint, patience=5), Cluster("distillery")), "distillery")
    assert len(ours.listed()) == 1
    passed = ours.look(("distillery", FILTER))
    assert passed
    assert passed.trouble is None, passed.trouble
    (run,) = kubeflow.runs.values()
    sent = run["runtime_config"]["parameters"]
    assert sent["marks"] == "reference"
    assert resolve_filter(sent["filter"]).metadata.namespace == "distillery"
    assert run["display_name"].startswith(FILTER)
    assert api.items[0]["status"]["phase"] == "Running"
    assert {one["involvedObject"]["uid"] for one in api.events.values()} == {"u1"}
    writes = [asked for asked in api.asked if not asked.startswith("GET")]
    kind = f"PUT /apis/llm-distillery.io/v1alpha1/namespaces/distillery/filters/{FILTER}/status"
    assert set(writes) == {kind, "POST /api/v1/namespaces/distillery/events"}, "as the Role allows"
    again = ours.look(("distillery", FILTER))
    assert again
    assert (again.done, len(kubeflow.runs)) == ((), 1)

    run["state"] = "FAILED"
    Failure(step="label", kind="input", message="a bad row").put(store, failure_key(run["run_id"]))
    ours.look(("distillery", FILTER))
    assert api.items[0]["status"]["phase"] == "BadInput"


@pytest.mark.parametrize("namespace", ["distillery", ""])
def test_a_status_that_comes_too_late_is_left_to_the_next_look(api: FakeApi, namespace: str) -> None:
    metadata = {"name": "demo", "namespace": "distillery", "resourceVersion": "1"}
    api.items.append({"metadata": metadata, "spec": {}})
    cluster = Cluster(namespace)
    (old,) = cluster.list()
    api.items[0]["metadata"] = {**metadata, "resourceVersion": "2"}
    cluster.put_status(old, {"phase": "Running"})
    assert "status" not in api.items[0]
    api.items.clear()
    cluster.put_status(old, {"phase": "Running"})
    assert cluster.get("distillery", "demo") is None
