"""Many Filter objects at once on a real cluster: all settle whatever else is there, and what idle ones cost.

What it prints is what docs/operator.md says of the operator's memory, CPU and calls: there, with DISTILLERY_IDLE_FILTERS=1000,
which takes five minutes more than the hundred that are made by default.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.components.store import Store
from distillery.pipelines.operator.decide import IDLE
from tests.cluster.harness import NAMESPACE, ROOT, Cluster, wait_for
from tests.cluster.operated import a_filter, apply, changed, conditions, listed, operating, runs, status, tiny_base
from tests.pipelines.harness import run_here

pytestmark = [pytest.mark.alone, pytest.mark.timeout(2400)]
NAMES = [f"many-town-{n}" for n in range(10)]
JUDGED, TRAINED = NAMES[:-1], NAMES[-1]
OTHER = [{"name": "high", "when": "overall >= 7"}, {"name": "low"}]
IDLE_FILTERS = int(os.environ.get("DISTILLERY_IDLE_FILTERS", "100"))
PAID = {"provider": "openai", "model": "big", "price": {"input": 1.0, "output": 2.0}}


@pytest.fixture(scope="module")
def operator(cluster: Cluster, store: Store, kfp: Any) -> Iterator[None]:
    with operating(cluster, store, kfp):
        yield


@pytest.fixture(scope="module")
def ten(store: Store, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Ten filters; nine have an adapter that this machine has trained, and that was promoted under other tiers."""
    base, folder = tiny_base(store, tiny_encoder), tmp_path_factory.mktemp("many")
    found = [a_filter(store, name, base) for name in NAMES]
    for value in found:
        file = folder / f"{value['metadata']['name']}.json"
        file.write_text(json.dumps({**value, "metadata": {"name": value["metadata"]["name"]}}))
        if value["metadata"]["name"] != TRAINED:
            ran = run_here("distill", file, "--store", store.uri, "--yes", cwd=folder)
            assert ran.code == 0, ran.err
    return found


def poison(cluster: Cluster, store: Store, base: dict[str, Any]) -> list[str]:
    """Objects that nobody expects: a status of other types, as an earlier kind may have taken it; an absurd annotation."""
    mistyped = changed(base, data={"labels": f"{store.uri}/given/nothing.jsonl"})
    mistyped["metadata"] = {**base["metadata"], "name": "poison-status"}
    annotated = {**mistyped, "metadata": {**base["metadata"], "name": "poison-annotation"}}
    annotated["metadata"]["annotations"] = {"llm-distillery.io/by": "☠\u202e\u0007" * 10_000, "x": "{" * 100_000}
    kind = yaml.safe_load((ROOT / "manifests/crds/filters.yaml").read_text("utf-8"))
    (version,) = kind["spec"]["versions"]
    version["schema"]["openAPIV3Schema"]["properties"]["status"] = {"x-kubernetes-preserve-unknown-fields": True}
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(live(cluster, kind)))
    try:
        for value in (mistyped, annotated):
            cluster.kubectl("create", "-f", "-", stdin=json.dumps(value))
        mad = {"conditions": "none", "phase": 7, "run": ["x"], "observedGeneration": {"a": 1}, "digest": 5, "mae": "much"}
        wait_for("the mistyped status", lambda: written(cluster, "poison-status", mad), 60)
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests/crds"))
    return ["poison-status", "poison-annotation"]


def live(cluster: Cluster, kind: dict[str, Any]) -> dict[str, Any]:
    """The kind with the version of what the cluster has, so that it replaces that."""
    now = cluster.get("crd", kind["metadata"]["name"])
    return {**now, "spec": {**now["spec"], "versions": kind["spec"]["versions"]}}


def written(cluster: Cluster, name: str, mad: dict[str, Any]) -> bool:
    """Write a status; False while the API server still has the kind as it was."""
    value = cluster.get("filter", name, "-n", NAMESPACE)
    address = f"/apis/llm-distillery.io/v1alpha1/namespaces/{NAMESPACE}/filters/{name}/status"
    told = cluster.kubectl("replace", "--raw", address, "-f", "-", stdin=json.dumps({**value, "status": mad}), check=False)
    return bool(told) and json.loads(told)["status"] == mad


def metrics(cluster: Cluster, address: str) -> dict[str, float]:
    """The metrics of a page of the API server, or of what it is a proxy for."""
    rows = re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", cluster.kubectl("get", "--raw", address), flags=re.MULTILINE)
    return {name: float(value) for name, value in rows}


def of_operator(cluster: Cluster) -> dict[str, float]:
    found = metrics(cluster, f"/api/v1/namespaces/{NAMESPACE}/services/distillery-operator:9090/proxy/metrics")
    looks, cpu = found["distillery_reconcile_seconds_count"], found["process_cpu_seconds_total"]
    return {"looks": looks, "cpu": cpu, "memory": found["process_resident_memory_bytes"] / 2**20}


def requests(cluster: Cluster) -> Counter[str]:
    """What the API server was asked about Filter objects, by verb."""
    found = Counter[str]()
    for name, value in metrics(cluster, "/metrics").items():
        if name.startswith("apiserver_request_total{") and 'group="llm-distillery.io"' in name:
            found[name.partition('verb="')[2].partition('"')[0]] += int(value)
    return found


def test_ten_filters_at_once_settle_beside_objects_that_nobody_expects(
    cluster: Cluster, store: Store, kfp: Any, operator: None, ten: list[dict[str, Any]]
) -> None:
    strange, began = poison(cluster, store, ten[0]), time.monotonic()
    had = {name: runs(kfp, name) for name in NAMES}
    apply(cluster, *(changed(value, tiers=OTHER) for value in ten))

    def settled() -> bool:
        return all(status(cluster, name).get("phase") == "Promoted" for name in NAMES)

    wait_for("ten filters to settle", settled, 1800, 5)
    print(f"ten filters settled in {time.monotonic() - began:.0f} s; the operator: {of_operator(cluster)}")
    assert {name: len(runs(kfp, name) - had[name]) for name in NAMES} == dict.fromkeys(NAMES, 1)
    for name in NAMES:
        record = json.loads(store.get(f"runs/{status(cluster, name)['run']['id']}/train.json"))
        assert bool(record["reused"]) == (name in JUDGED)
    for name in strange:
        told = conditions(status(cluster, name))["Ready"]
        assert (told["status"], told["reason"]) == ("False", "BadInput" if name == "poison-status" else "Invalid"), told


def test_what_idle_filters_cost(cluster: Cluster, store: Store, operator: None, tiny_encoder: Path) -> None:
    """They wait for a budget, so each is looked at every five minutes and runs nothing."""
    others = cluster.kubectl("get", "filters", "-n", NAMESPACE, "-o", "name").split()
    if others:
        cluster.kubectl("delete", "-n", NAMESPACE, *others)
    one = a_filter(store, "idle-town", tiny_base(store, tiny_encoder))
    store.put("given/articles.jsonl", store.get("given/labels.jsonl"))
    idle = changed(one, oracle=PAID, data={"articles": f"{store.uri}/given/articles.jsonl"})
    names = [f"idle-town-{n}" for n in range(IDLE_FILTERS)]
    before, began = of_operator(cluster), time.monotonic()

    def create(some: list[str]) -> None:
        values = [{**idle, "metadata": {**idle["metadata"], "name": name}} for name in some]
        cluster.kubectl("create", "-f", "-", stdin=listed(*values), timeout=600)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(create, (names[::2], names[1::2])))
    created = time.monotonic() - began
    wait_for("a first look at each", lambda: of_operator(cluster)["looks"] - before["looks"] >= IDLE_FILTERS, 1500, 5)
    first, took = of_operator(cluster), time.monotonic() - began
    shown = [each for each in cluster.get("filters", "-n", NAMESPACE)["items"] if each["metadata"]["name"] in names]
    assert {each.get("status", {}).get("phase") for each in shown} == {"NoBudget"}

    asked = requests(cluster)
    time.sleep(IDLE + 30)
    after, asked = of_operator(cluster), requests(cluster) - asked
    looks, cpu = after["looks"] - first["looks"], after["cpu"] - first["cpu"]
    print(f"{IDLE_FILTERS} filters: created in {created:.0f} s, first looked at in {took:.0f} s")
    print(f"CPU: {first['cpu'] - before['cpu']:.1f} s for that, then {cpu:.1f} s for {looks:.0f} looks, {IDLE + 30:.0f} s long")
    print(f"requests of those: {dict(asked)}")
    print(f"memory: {before['memory']:.0f} MB before, {first['memory']:.0f} MB, {after['memory']:.0f} MB")
    assert looks >= IDLE_FILTERS
    assert not asked["PUT"], "nothing is written of what is idle"
    assert asked["GET"] <= looks + 10
    assert after["memory"] < 384, "what the Deployment asks for"
