"""Ten filters at once beside one that nobody expected, and a thousand for which nothing is to be done."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.channel import read_channel
from distillery.components.store import Store
from tests.cluster.harness import NAMESPACE, Cluster, wait_for
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
from tests.pipelines.harness import run_here

pytestmark = [pytest.mark.alone, pytest.mark.timeout(2400)]
NAMES = [f"town-{number}" for number in range(10)]
IDLE = 1_000


@pytest.fixture(scope="module")
def operator(cluster: Cluster, store: Store, kfp: Any) -> Iterator[None]:
    with operating(cluster, store, kfp):
        yield


@pytest.fixture(scope="module")
def base(store: Store, tiny_encoder: Path) -> str:
    return tiny_base(store, tiny_encoder)


def requests(cluster: Cluster) -> int:
    """Requests about Filter objects that the API server has answered, watches left out."""
    text = cluster.kubectl("get", "--raw", "/metrics")
    rows = re.findall(r'^apiserver_request_total\{(.*resource="filters".*)\} ([0-9.e+]+)$', text, flags=re.MULTILINE)
    return int(sum(float(count) for labels, count in rows if 'verb="WATCH"' not in labels))


def memory(cluster: Cluster) -> float:
    """Resident memory of the operator, in MB."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in processes(cluster)[0]]
    return max(int(found) for text in texts for found in re.findall(r"VmRSS:\s+(\d+)", text)) / 1024


def seconds_of_cpu(cluster: Cluster) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes(cluster)[0]]
    return sum(int(row[11]) + int(row[12]) for row in fields) / 100


def test_ten_filters_at_once_settle_beside_one_that_nobody_expected(
    cluster: Cluster, store: Store, kfp: Any, operator: None, base: str, tmp_path: Path
) -> None:
    filters = [a_filter(store, name, base) for name in NAMES]
    for value in filters[1:]:  # these were distilled before, so that they are judged again alone
        path = tmp_path / f"{value['metadata']['name']}.yaml"
        spec = {**value["spec"], "tiers": [{"name": "all"}]}
        path.write_text(json.dumps({**value, "metadata": {"name": path.stem}, "spec": spec}))
        ran = run_here("distill", path, "--store", store.uri, cwd=tmp_path)
        assert ran.code == 0, ran.err
    before = {name: read_channel(store, name, "production").channel.adapter for name in NAMES}
    poison = a_filter(store, "poison", base)
    poison["metadata"]["annotations"] = {"llm-distillery.io/by": "\u202e" + "x" * 200_000, "llm-distillery.io/reason": "{"}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(changed(poison, prefilter={"exclude": ["(?=a)"]})))
    wrong = {"status": {"phase": "", "digest": "?", "conditions": [{"type": "Ready", "status": "True"}], "more": [{}]}}
    patch = ("patch", "filter", "poison", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", json.dumps(wrong))
    cluster.kubectl(*patch)
    began = time.monotonic()
    apply(cluster, *filters)
    settled = {name: until(cluster, name, "Promoted", 1800) for name in NAMES}
    print(f"ten filters settled in {time.monotonic() - began:.0f} s; the operator has {memory(cluster):.0f} MB")
    for name in NAMES[1:]:
        assert settled[name]["digest"] == before[name], "judged again, not trained again"
    assert all(len(runs(kfp, name)) == 1 for name in NAMES)
    found = status(cluster, "poison")
    assert (found["phase"], conditions(found)["Valid"]["status"]) == ("Invalid", "False")
    assert not runs(kfp, "poison")


def test_a_thousand_filters_for_which_nothing_is_due(cluster: Cluster, store: Store, operator: None, base: str) -> None:
    store.put("given/articles.jsonl", b'{"id": "1", "title": "t", "content": "c"}\n')
    paid = {"provider": "openai", "model": "gpt-4o-mini", "keyEnv": "NOBODYS_KEY"}
    one = a_filter(store, "idle", base, oracle=paid, data={"articles": f"{store.uri}/given/articles.jsonl"})
    values = [{**one, "metadata": {"name": f"idle-{number}", "namespace": NAMESPACE}} for number in range(IDLE)]
    began, asked = time.monotonic(), requests(cluster)
    for start in range(0, IDLE, 100):
        items = {"apiVersion": "v1", "kind": "List", "items": values[start : start + 100]}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(items))

    def told() -> bool:
        items = cluster.get("filters", "-n", NAMESPACE)["items"]
        return sum((each.get("status") or {}).get("phase") == "NoBudget" for each in items) == IDLE

    wait_for("a thousand that say NoBudget", told, 900, 10)
    print(f"told after {time.monotonic() - began:.0f} s and {requests(cluster) - asked} requests")
    asked, worked, began = requests(cluster), seconds_of_cpu(cluster), time.monotonic()
    time.sleep(310)  # each is looked at once
    cost, pause = seconds_of_cpu(cluster) - worked, time.monotonic() - began
    asked = requests(cluster) - asked
    print(f"{IDLE} idle filters, {pause:.0f} s: {cost:.0f} s of CPU, {asked} requests, {memory(cluster):.0f} MB")
    assert memory(cluster) < 512
    assert asked < 3 * IDLE
    (pod,) = cluster.get("pods", *OPERATOR)["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
