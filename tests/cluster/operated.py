"""What tests of the operator share: the operator as its component has it, a filter that trains in seconds, its status."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distillery.components.store import Store
from tests.cluster.harness import NAMESPACE, ROOT, Cluster, wait_for
from tests.pipelines.harness import KNOWINGLY, filter_document, label_rows

OPERATOR = ("-n", NAMESPACE, "-l", "app.kubernetes.io/component=operator")
BASE = "models/tiny-operated"
LENIENT = [{"metric": "articles", "atLeast": 3.0}, {"metric": "mae", "below": 9.0}, *KNOWINGLY]


@contextlib.contextmanager
def operating(cluster: Cluster, store: Store, kfp: Any, replicas: int = 1) -> Iterator[None]:
    """The operator as manifests/components/operator has it, on this test run's store."""
    if not (image := cluster.settings.get("DISTILLERY_IMAGE_OPERATOR")):
        pytest.skip("no image of the operator on this cluster: `make images`")
    light, torch = (cluster.settings[f"DISTILLERY_IMAGE_{which}"] for which in ("LIGHT", "TORCH"))
    kfp.published("distill", light=light, torch=torch)
    name, _, tag = image.rpartition(":")
    ours = {"name": "DISTILLERY_STORE", "value": store.uri}
    patch = [
        {"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": ours},
        {"op": "replace", "path": "/spec/replicas", "value": replicas},
    ]
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "components": ["operator"],
        "images": [{"name": "registry.example.com/distillery-operator", "newName": name, "newTag": tag}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(patch)}],
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(ROOT / "manifests/components/operator", folder / "operator")
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(own))
        rendered = cluster.kubectl("kustomize", str(folder))
    cluster.kubectl("apply", "-f", "-", stdin=rendered)
    try:
        cluster.kubectl("rollout", "status", "deployment/distillery-operator", "-n", NAMESPACE, "--timeout=180s", timeout=200)
        yield
    finally:
        cluster.kubectl("delete", "filters,scorings", "--all", "-n", NAMESPACE, "--wait=false", check=False)
        cluster.kubectl("delete", "--wait=false", "-f", "-", stdin=rendered, check=False)


def tiny_base(store: Store, folder: Path) -> str:
    """Put a base model of two small layers into the store; return its address."""
    for file in sorted(folder.iterdir()):
        store.put(f"{BASE}/{file.name}", file)
    return f"{store.uri}/{BASE}"


def a_filter(store: Store, name: str, base: str, **changes: Any) -> dict[str, Any]:
    """A filter with sixty labels, which trains in seconds."""
    data = "".join(json.dumps(row) + "\n" for row in label_rows(60)).encode()
    if not store.exists("given/labels.jsonl"):
        store.put("given/labels.jsonl", data)
    found = filter_document(Path("/nowhere"), gates=LENIENT)
    spec = found["spec"]
    spec["student"] |= {"baseModel": base, "maxLength": 64}
    spec["training"] |= {"epochs": 4, "learningRate": 0.02}  # what a student of random layers needs to learn anything
    spec["data"] = {"labels": f"{store.uri}/given/labels.jsonl"}
    spec |= changes
    found["metadata"] = {"name": name, "namespace": NAMESPACE}
    return found


def changed(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same object with other sections of its spec."""
    return {**value, "spec": {**value["spec"], **changes}}


def apply(cluster: Cluster, *values: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=listed(*values))


def listed(*values: dict[str, Any]) -> str:
    """Objects as one text: kubectl (1.34) takes no second JSON document behind "---", though it has taken the first."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(values)})


def status(cluster: Cluster, name: str, kind: str = "filter") -> dict[str, Any]:
    """The status, once it is about the object as it is; nothing while the API server is away."""
    text = cluster.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json", check=False)
    found = json.loads(text) if text else {"metadata": {"generation": 0}}
    now: dict[str, Any] = found.get("status") or {}
    return now if now.get("observedGeneration") == found["metadata"]["generation"] else {}


def conditions(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["type"]: row for row in shown.get("conditions", [])}


def runs(kfp: Any, name: str) -> set[str]:
    """The runs of a filter that Kubeflow has had."""
    found = kfp.client.list_runs(page_size=100, sort_by="created_at desc").runs or []
    return {run.run_id for run in found if run.display_name.startswith(f"{name}-")}


def processes(cluster: Cluster) -> list[list[int]]:
    """The processes of each of the operator's pods, where pods are processes of this machine."""
    pods = cluster.get("pods", *OPERATOR)["items"]
    rows = [row for pod in pods for row in pod["status"].get("containerStatuses", []) if row.get("containerID")]
    found = list[list[int]]()
    for id in (row["containerID"].rpartition("/")[2] for row in rows):
        own = list[int]()
        for each in Path("/proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                if id in each.read_text():
                    own.append(int(each.parent.name))
        if own:
            found.append(own)
    return found


def until(cluster: Cluster, name: str, phase: str, seconds: float = 900) -> dict[str, Any]:
    """The status, once it is about the object as it is and has come to a phase."""
    last: dict[str, Any] = {}

    def reached() -> dict[str, Any] | None:
        last.clear()
        last.update(status(cluster, name))
        return last if last.get("phase") == phase else None

    try:
        found: dict[str, Any] = wait_for(f"{name}: phase {phase}", reached, seconds, 3)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {json.dumps(last)}") from None
    return dict(found)


def oracle_files(n: int = 60) -> dict[str, bytes]:
    """Articles that carry their true scores, and what an oracle said of each: files by name."""
    rows = label_rows(n)
    articles = [{**{key: row[key] for key in row if key != "scores"}, "reference": row["scores"]} for row in rows]
    replies = [{"id": row["id"], "reply": json.dumps({"reasoning": "As it says.", **row["scores"]})} for row in rows]
    lines = {"articles.jsonl": articles, "replies.jsonl": replies}
    return {name: "".join(json.dumps(row) + "\n" for row in each).encode() for name, each in lines.items()}


def asking(data: str) -> dict[str, Any]:
    """The sections of a spec by which its articles are labelled by that oracle."""
    return {
        "data": {"articles": f"{data}/articles.jsonl"},
        "oracle": {"provider": "replay", "model": "recorded", "replies": f"{data}/replies.jsonl"},
        "run": {"marks": "reference", "budget": 1},
    }


def look_now(cluster: Cluster, name: str, why: str) -> None:
    """Have an object looked at, in place of waiting for the five minutes after which it is anyway."""
    cluster.kubectl("annotate", "filter", name, "-n", NAMESPACE, f"example.com/look={why}", "--overwrite")


def another(cluster: Cluster, kfp: Any, name: str, had: set[str], seconds: float = 60) -> str:
    """The one run that has begun."""
    wait_for(f"{name}: a run", lambda: runs(kfp, name) - had, seconds, 2)
    (begun,) = runs(kfp, name) - had
    wait_for(
        f"{name}: its end", lambda: status(cluster, name).get("run", {}).get("id") == begun and not kfp.active(begun), 900, 3
    )
    return begun
