"""Adapters that answer over HTTP, as a pod under the restricted level: reached through a Service, swapped by a promotion."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.components.artifacts.channel import Entry
from distillery.components.artifacts.filter import publish_filter
from distillery.components.promotion.move import change, utc_now
from distillery.components.store import Digest, Store
from distillery.components.student.bundle import save_bundle
from tests.cluster.harness import NAMESPACE, ROOT, Cluster, wait_for
from tests.cluster.scoring import DIMENSIONS, Promoted, make_student, promote_student

pytestmark = pytest.mark.timeout(900)
NAME, KEY, FILTER = "serving-test", "a-key-of-the-test-0123456789", "serving-test"
TEXT = "A village built a wind farm and published what it costs, month by month. " * 10
# Runs in the pod, which has no shell; what it asks goes by the Service's name.
ASK = """
import json, sys, urllib.error, urllib.request
request = urllib.request.Request(f"http://{sys.argv[1]}:8080{sys.argv[2]}", sys.argv[3].encode() or None)
request.add_header("X-API-Key", sys.argv[4])
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
"""


def objects(cluster: Cluster, store: Store) -> list[dict[str, Any]]:
    """The component's objects under a name of the test's own, with this run's store and its filter."""
    text = (ROOT / "manifests/components/serving/deployment.yaml").read_text("utf-8").replace("distillery-serving", NAME)
    found = list(yaml.safe_load_all(text.replace("component: serving", f"component: {NAME}")))
    (deployment,) = [one for one in found if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = cluster.settings["DISTILLERY_IMAGE_SERVE"]
    container["args"] = [*container["args"][:-1], FILTER, f"--store={store.uri}", "--poll=1"]
    container["resources"]["requests"]["cpu"] = "50m"
    keys = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "stringData": {"keys": KEY},
    }
    return [keys, *found]


@pytest.fixture(scope="module")
def adapter(store: Store, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    for file in sorted(tiny_encoder.iterdir()):
        store.put(f"models/tiny-serving/{file.name}", file)
    return promote_student(store, tmp_path_factory.mktemp("filter"), FILTER, f"{store.uri}/models/tiny-serving")


@pytest.fixture(scope="module")
def deployed(cluster: Cluster, store: Store, adapter: Promoted) -> Iterator[Promoted]:
    if "DISTILLERY_IMAGE_SERVE" not in cluster.settings:
        pytest.skip("no DISTILLERY_IMAGE_SERVE: python images/build.py serve")
    made = yaml.safe_dump_all(objects(cluster, store))
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=made)
    try:
        cluster.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=300s", timeout=320)
        yield adapter
    finally:
        cluster.kubectl("delete", "--wait=false", "-f", "-", stdin=made)


def ask(cluster: Cluster, path: str, body: Any = None, key: str = KEY) -> tuple[int, Any]:
    """Ask the Service from within the cluster."""
    words = ["python", "-c", ASK, f"{NAME}.{NAMESPACE}", path, json.dumps(body) if body is not None else "", key]
    told = cluster.kubectl("exec", "-n", NAMESPACE, f"deployment/{NAME}", "--", *words)
    status, text = json.loads(told)
    return status, json.loads(text)


def score(cluster: Cluster, *articles: str) -> dict[str, Any]:
    status, found = ask(cluster, "/score", {"articles": list(articles)})
    assert status == 200, found
    return dict(found)


def second(store: Store, promoted: Promoted) -> Digest:
    """Another adapter of the same filter, promoted."""
    flt = promoted.filter
    student = make_student(store, flt, flt.spec.student.baseModel)
    other = dataclasses.replace(student, tensors={k: v * 0.5 for k, v in student.tensors.items()}, _forward=None)
    other.golden = (student.golden[0], other.predict(student.golden[0]))
    adapter = save_bundle(store, flt.name, other)
    entry = Entry(adapter=adapter, verdict="0" * 64, filter=publish_filter(store, flt), action="promote", at=utc_now())
    change(store, flt.name, "production", lambda now: now.moved(entry))
    return adapter


def test_a_pod_answers_through_its_service_and_takes_a_promotion(cluster: Cluster, store: Store, deployed: Promoted) -> None:
    (pod,) = cluster.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={NAME}")["items"]
    level = cluster.get("namespace", NAMESPACE)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert (level, pod["status"]["containerStatuses"][0]["restartCount"]) == ("restricted", 0)
    assert ask(cluster, "/score", {"articles": [TEXT]}, key="another-key-of-nobody")[0] == 401
    first = score(cluster, TEXT, "too short")
    assert first["adapter"] == deployed.adapter
    assert list(first["scores"][0]["scores"]) == DIMENSIONS
    assert first["scores"][1]["prefiltered"]
    tensor = {"name": "content", "shape": [1], "datatype": "BYTES", "data": [TEXT]}
    status, inferred = ask(cluster, f"/v2/models/{FILTER}/infer", {"inputs": [tensor]})
    assert (status, inferred["model_version"]) == (200, deployed.adapter)

    adapter = second(store, deployed)
    answers = list[str]()

    def taken_over() -> bool:
        answers.append(score(cluster, TEXT)["adapter"])
        return answers[-1] == adapter

    wait_for("the promoted adapter answers", taken_over, 60, 0.2)
    assert set(answers) <= {deployed.adapter, adapter}
    (after,) = cluster.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={NAME}")["items"]
    assert after["metadata"]["name"] == pod["metadata"]["name"], "no rollout"
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_pod_that_is_told_to_end_ends_with_0(cluster: Cluster, deployed: Promoted) -> None:
    (pod,) = cluster.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={NAME}")["items"]
    name, began = pod["metadata"]["name"], time.monotonic()
    cluster.kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")

    def ended() -> Any:
        text = cluster.kubectl("get", "pod", name, "-n", NAMESPACE, "-o", "json", "--ignore-not-found")
        state = json.loads(text)["status"]["containerStatuses"][0]["state"] if text else {"terminated": {"exitCode": None}}
        return state.get("terminated")

    code = wait_for("the pod ends", ended, 60, 0.1)["exitCode"]
    assert code in (0, None)  # None: it was gone before it was looked at
    assert time.monotonic() - began < 45, "not killed at the end of its grace"
    cluster.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=300s", timeout=320)
    assert score(cluster, TEXT)["scores"][0]["tier"]
