"""What the control plane costs a large scoring Job: SCALE_INDEXES (5,000) indexes on simulated nodes, with and without Kueue.

The nodes are kwok's (label type=kwok): their pods are placed, run and succeed without a container, so what is left is the share
of the API server, etcd, the scheduler and the Job controller. Processor time is read where these run on this machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.scoring.corpus import Corpus, CorpusFile
from distillery.components.scoring.job_manifest import RESOURCES, Place, job_manifest
from distillery.components.scoring.plan import Plan
from tests.cluster.harness import Cluster, wait_for

pytestmark = [pytest.mark.alone, pytest.mark.timeout(2400)]
NAMESPACE = "distillery"
INDEXES = int(os.environ.get("SCALE_INDEXES", "5000"))
PARTS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kwok", "kueue")
TOLERATIONS = [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}]
QUEUE = """\
apiVersion: kueue.x-k8s.io/v1beta1
kind: ResourceFlavor
metadata: {name: scoring-scale}
spec:
  nodeLabels: {type: kwok}
  tolerations: [{key: kwok.x-k8s.io/node, operator: Exists, effect: NoSchedule}]
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: ClusterQueue
metadata: {name: scoring-scale}
spec:
  namespaceSelector: {}
  resourceGroups:
  - coveredResources: [cpu, memory]
    flavors:
    - name: scoring-scale
      resources: [{name: cpu, nominalQuota: 40}, {name: memory, nominalQuota: 4000Gi}]
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: LocalQueue
metadata: {name: scoring-scale, namespace: distillery}
spec: {clusterQueue: scoring-scale}
"""


def processor_seconds() -> dict[str, float]:
    """User and system time of the control plane's processes, where they are this machine's."""
    found: dict[str, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                environment = (folder / "environ").read_bytes()
                ticks = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            name = Path(words[0].decode(errors="replace")).name
            if name == "manager" and b"HOSTNAME=kueue" in environment:
                name = "kueue"
            if name in PARTS:
                found[name] = found.get(name, 0.0) + (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return found


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> int:
    found = len(cluster.get("nodes", "-l", "type=kwok")["items"])
    if not found:
        pytest.skip("no simulated nodes (label type=kwok): `cluster up scale` has them")
    return found


@pytest.fixture
def queue(cluster: Cluster) -> Iterator[str]:
    if "clusterqueues" not in cluster.kubectl("api-resources", "--api-group=kueue.x-k8s.io", "-o", "name", check=False):
        pytest.skip("no Kueue here: `cluster up training` has it")
    cluster.kubectl("apply", "-f", "-", stdin=QUEUE)
    yield "scoring-scale"
    cluster.kubectl("delete", "-f", "-", "--wait=false", stdin=QUEUE)


def big_job(indexes: int, queue: str) -> dict[str, Any]:
    corpus = Corpus("s3://b/c", [CorpusFile("x.jsonl", 10**12, str(time.time()), "jsonl")])
    plan = Plan("scale", 1, "k", ["a"], "a" * 64, corpus, indexes, "parquet", "none")
    place = Place(NAMESPACE, "localhost/none:1", "s3://b/m", queue, RESOURCES)
    body = job_manifest(plan, place, out="s3://b/out", store="s3://b/m", completions=indexes, parallelism=indexes)
    if not queue:
        pod = body["spec"]["template"]["spec"]
        pod["nodeSelector"], pod["tolerations"] = {"type": "kwok"}, TOLERATIONS
    return body


def run(cluster: Cluster, indexes: int, queue: str = "") -> None:
    body, before, began = big_job(indexes, queue), processor_seconds(), time.monotonic()
    name = body["metadata"]["name"]
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(body))
    first = 0.0
    try:
        while True:
            status = cluster.get("job", name, "-n", NAMESPACE)["status"]
            first = first or (time.monotonic() - began if status.get("succeeded") else 0.0)
            if status.get("conditions") and status["conditions"][-1]["type"] in ("Complete", "Failed"):
                break
            time.sleep(1 if not first else 5)  # kubectl itself costs half a second of a core
        seconds = time.monotonic() - began
        spent = {part: round(end - before[part], 1) for part, end in processor_seconds().items() if part in before}
        assert status["succeeded"] == indexes, status
        assert status["completedIndexes"] == f"0-{indexes - 1}"
        size = len(json.dumps(status))
        print(
            f"{indexes:,} indexes{' in queue' if queue else ''}: {seconds:.0f} s ({1000 * seconds / indexes:.1f} s per 1,000), "
            f"first done after {first:.1f} s, processor seconds {spent}, sum {sum(spent.values()):.0f} "
            f"({1000 * sum(spent.values()) / indexes:.1f} per 1,000), status of {size:,} bytes"
        )
    finally:
        cluster.kubectl("delete", "job", name, "-n", NAMESPACE, "--wait=false", "--cascade=background")
    began = time.monotonic()
    selector = f"batch.kubernetes.io/job-name={name}"
    wait_for(
        "no pods", lambda: not cluster.get("pods", "-n", NAMESPACE, "-l", selector, "--chunk-size=500")["items"], 600, every=5
    )
    print(f"its pods are gone after {time.monotonic() - began:.0f} s")


def test_a_job_of_many_indexes(cluster: Cluster, nodes: int) -> None:
    run(cluster, INDEXES)


def test_the_same_through_a_queue(cluster: Cluster, nodes: int, queue: str) -> None:
    """The queue's quota holds 40 of the pods: Kueue admits the Job with so many at once (partial admission)."""
    run(cluster, 100, queue)
