"""The images in pods of ours: the restricted level, a read-only root, no internet, and the base model out of the store."""

from __future__ import annotations

import json
import uuid

import pytest

from distillery.components.store import Store
from distillery.components.student.resolve import resolve_base
from tests.cluster.harness import BASE_MODEL, Cluster, wait_for

NAMESPACE = "distillery"
LOOK = """
import glob, json, os, shutil, sys
print(json.dumps({
    "uid": os.getuid(),
    "tools": [tool for tool in ("cc", "gcc", "make", "pip", "pip3") if shutil.which(tool)],
    "source": os.path.exists("/src"), "writable": os.access("/opt/venv", os.W_OK),
    "names": [one["name"] for one in json.load(open("/usr/share/sbom.cdx.json"))["components"]]}))
"""
RESOLVE = f"""
import json, os
from distillery.components.store import open_store
from distillery.components.student.resolve import resolve_base
base = resolve_base({BASE_MODEL!r}, None, open_store(os.environ["MODELS_TEST"]))
print(json.dumps(base.facts()))
"""


def python(cluster: Cluster, image: str, code: str, **environment: str) -> dict:  # type: ignore[type-arg]
    """What `code` prints last, as JSON, in a pod that passes the restricted level; the pod is gone afterwards."""
    name = f"images-{uuid.uuid4().hex[:8]}"
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", code],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "envFrom": [{"configMapRef": {"name": "distillery"}}, {"secretRef": {"name": "distillery-store", "optional": True}}],
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,  # the kubelet checks it: the image's user is a number
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    labels = {"app.kubernetes.io/part-of": "llm-distillery", "app.kubernetes.io/component": "scoring"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    cluster.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(pod))
    try:
        ended = wait_for(f"the end of pod {name}", lambda: _ended(cluster, name), seconds=180)
        told = cluster.kubectl("logs", "-n", NAMESPACE, name)
        assert ended == "Succeeded", told
        return dict(json.loads(told.strip().splitlines()[-1]))
    finally:
        cluster.kubectl("delete", "pod", "-n", NAMESPACE, name, "--wait=false")


def _ended(cluster: Cluster, pod: str) -> str | None:
    phase = cluster.get("pod", pod, "-n", NAMESPACE)["status"]["phase"]
    return phase if phase in ("Succeeded", "Failed") else None


@pytest.mark.parametrize("kind", ["LIGHT", "TORCH"])
def test_an_image_is_what_it_says(cluster: Cluster, kind: str) -> None:
    found = python(cluster, cluster.settings[f"DISTILLERY_IMAGE_{kind}"], LOOK)
    assert found["uid"] == 65532
    assert not found["tools"], "no compiler, and nothing installs at run time"
    assert not found["source"], "the project is installed, not copied"
    assert not found["writable"]
    assert {"llm-distillery", "kfp", "libc6"} <= set(found["names"])
    assert ("torch" in found["names"]) == (kind == "TORCH")


def test_a_pod_finds_the_base_model_in_the_store_under_its_digest(cluster: Cluster, store: Store) -> None:
    there = python(cluster, cluster.settings["DISTILLERY_IMAGE_TORCH"], RESOLVE, MODELS_TEST=store.uri)
    assert there == resolve_base(BASE_MODEL).facts()
