"""What the tests ask of a Kubernetes object: known fields only, and pods that are bounded and never root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from distillery.filters.crd import crd, scoring_crd
from tests.manifests.schemas import FILE

Object = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("testbed", "s3", "vertex", "kueue")
RESTRICTED = "distillery"  # the namespace whose pods are ours to specify
SETTINGS = {
    "DISTILLERY_STORE",
    "AWS_REGION",
    "DISTILLERY_NAMESPACE",
    "DISTILLERY_QUEUE",
    "DISTILLERY_IMAGE_LIGHT",
    "DISTILLERY_IMAGE_TORCH",
}


SERVICE_MONITOR = {
    "required": ["selector", "endpoints"],
    "additionalProperties": False,
    "properties": {
        "selector": {"required": ["matchLabels"], "additionalProperties": False, "properties": {"matchLabels": {}}},
        "endpoints": {
            "items": {
                "required": ["port"],
                "additionalProperties": False,
                "properties": {"port": {"type": "string"}, "interval": {"type": "string"}, "path": {"type": "string"}},
            }
        },
    },
}


@cache
def _schemas() -> Object:
    found: Object = json.loads(FILE.read_text("utf-8"))
    return found


def faults(found: Object) -> list[str]:
    """Where `found` is not what its kind's schema says: unknown kinds and fields, wrong types, values not allowed."""
    if found.get("apiVersion") == "llm-distillery.io/v1alpha1":
        return []  # distillery.filters.spec reads it, strictly
    kind = f"{found.get('apiVersion')} {found.get('kind')}"
    if kind == "monitoring.coreos.com/v1 ServiceMonitor":  # the test cluster has none: what is used of it
        return [error.message[:200] for error in jsonschema.Draft202012Validator(SERVICE_MONITOR).iter_errors(found["spec"])]
    if kind == "argoproj.io/v1alpha1 Application":
        return []  # the cluster that the schemas come from has no Argo CD; test_gitops.py holds it against Flux's objects
    known = _schemas()
    if kind not in known["kinds"]:
        return [f"{kind}: no schema; add it to KINDS and run python -m tests.manifests.schemas"]
    schema = {"$ref": f"#/$defs/{known['kinds'][kind]}", "$defs": known["$defs"]}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(found)
    return [f"{kind} {name(found)}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]


def name(found: Object) -> str:
    return str(found.get("metadata", {}).get("name", "?"))


def pods(node: Any) -> Iterator[Object]:
    """Every pod spec inside an object, however deep: a Job's, a TrainingRuntime's."""
    if isinstance(node, dict):
        containers = node.get("containers")
        if isinstance(containers, list) and all(isinstance(one, dict) and "image" in one for one in containers):
            yield node
        for inner in node.values():
            yield from pods(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from pods(inner)


def pod_faults(pod: Object, restricted: bool) -> list[str]:
    """Containers without a bound, or that may be root; restricted: what that level and a read-only root ask for besides."""
    shared, found = pod.get("securityContext", {}), []
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = {**shared, **container.get("securityContext", {})}
        for bound in ("requests", "limits"):
            if {"cpu", "memory"} - container.get("resources", {}).get(bound, {}).keys():
                found.append(f"{container['name']}: no {bound} of cpu and memory")
        if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
            found.append(f"{container['name']}: may be root")
        asked = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"] and not own["capabilities"].get("add"),
            "seccompProfile": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        }
        found += [f"{container['name']}: {field} is not restricted" for field, held in asked.items() if restricted and not held]
    return found


def wrong(objects: list[Object]) -> list[str]:
    """All faults of `objects`: of schema, pods and namespaces."""
    found = [fault for one in objects for fault in faults(one)]
    for one in objects:
        restricted = one.get("metadata", {}).get("namespace") == RESTRICTED
        found += [f"{one['kind']} {name(one)}: {fault}" for pod in pods(one) for fault in pod_faults(pod, restricted)]
    return found


def kustomizer() -> list[str] | None:
    """The command that renders a kustomization, where this machine has one."""
    return (
        ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"] if shutil.which("kustomize") else None
    )


def copy_of_manifests(folder: Path) -> Path:
    """manifests/ copied under `folder`, with the images.env that `make images` would have written for the test cluster."""
    shutil.copytree(MANIFESTS, folder / "manifests")
    images = "".join(
        f"DISTILLERY_IMAGE_{one.upper()}=localhost/distillery-{one}:{'0' * 12}\n"
        for one in ("light", "torch", "operator", "serve")
    )
    (folder / "manifests/overlays/testbed/images.env").write_text(images, "utf-8")
    return folder / "manifests"


def render(kustomization: Path) -> list[Object]:
    """The objects of a kustomization. RuntimeError with kustomize's own words."""
    command = kustomizer()
    assert command, "no kubectl and no kustomize"
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    answer = subprocess.run([*command, str(kustomization)], capture_output=True, text=True, env=environment)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return list(yaml.safe_load_all(answer.stdout))


def crds_as_rendered() -> list[Object]:
    """The generated CRDs with the label that their kustomization adds."""
    found = [crd(), scoring_crd()]
    for one in found:
        one["metadata"]["labels"] = {"app.kubernetes.io/part-of": "llm-distillery"}
    return found
