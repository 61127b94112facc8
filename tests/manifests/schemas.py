"""JSON schemas of the Kubernetes kinds that manifests/ uses, trimmed from a cluster: `python -m tests.manifests.schemas`.

A package with every kind of every release is 72 MB in 17,000 files; what we use, without descriptions and with a PodSpec told
once, is 0.1 MB, and covers custom resources (Kueue, Trainer, Kubeflow Pipelines) the same way. Strict: a field that the schema
does not know is an error. Run it against a cluster that has those kinds, when a kind is added or a release moves.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
FILE = Path(__file__).with_name("schemas.json")
KINDS = {
    "v1": ["Namespace", "LimitRange", "ServiceAccount", "ConfigMap", "Secret", "Pod", "PersistentVolumeClaim", "Service"],
    "batch/v1": ["Job", "CronJob"],
    "apps/v1": ["Deployment"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "apiextensions.k8s.io/v1": ["CustomResourceDefinition"],
    "kueue.x-k8s.io/v1beta1": ["ResourceFlavor", "ClusterQueue", "LocalQueue"],
    "trainer.kubeflow.org/v1alpha1": ["TrainingRuntime", "TrainJob"],
    "pipelines.kubeflow.org/v2beta1": ["Pipeline", "PipelineVersion"],
    "source.toolkit.fluxcd.io/v1": ["GitRepository"],
    "kustomize.toolkit.fluxcd.io/v1": ["Kustomization"],
}
KEPT = {"type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
# Custom resources spell a Job's template out; the core schema says it in one reference.
TOLD_ONCE = {"replicatedJobs": "io.k8s.api.batch.v1.JobTemplateSpec"}
PREFIX = "#/components/schemas/"


def trim(node: Schema) -> Schema:
    """`node` of OpenAPI 3.0 as a strict JSON schema."""
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if node.get("x-kubernetes-preserve-unknown-fields"):
        return {}
    if "allOf" in node and len(node["allOf"]) == 1 and "$ref" in node["allOf"][0]:
        return trim(node["allOf"][0])
    if "$ref" in node:
        return {"$ref": "#/$defs/" + node["$ref"].removeprefix(PREFIX)}
    found = {key: value for key, value in node.items() if key in KEPT}
    if "kind" in node.get("properties", {}):  # of an object, what an author writes
        node = node | {"properties": {name: inner for name, inner in node["properties"].items() if name != "status"}}
    if "oneOf" in node:
        found["oneOf"] = [trim(inner) for inner in node["oneOf"]]
    if "items" in node:
        found["items"] = trim(node["items"])
    if "properties" in node:
        found["properties"] = {name: _field(name, inner) for name, inner in node["properties"].items()}
        found["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        found["additionalProperties"] = trim(node["additionalProperties"])
    return found


def _field(name: str, node: Schema) -> Schema:
    found = trim(node)
    if name in TOLD_ONCE and "template" in found.get("items", {}).get("properties", {}):
        found["items"]["properties"]["template"] = {"$ref": f"#/$defs/{TOLD_ONCE[name]}"}
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix("#/$defs/")
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def fetch() -> Schema:
    """Every kind under "kinds" (`apiVersion kind` → definition), and the definitions they need under "$defs"."""
    everything: dict[str, Schema] = {}
    kinds: dict[str, str] = {}
    for version, names in KINDS.items():
        path = f"/openapi/v3/{'apis' if '/' in version else 'api'}/{version}"
        answer = subprocess.run(["kubectl", "get", "--raw", path], check=True, capture_output=True, text=True)
        schemas = json.loads(answer.stdout)["components"]["schemas"]
        everything |= schemas
        for name, schema in schemas.items():
            for group in schema.get("x-kubernetes-group-version-kind", []):
                spelled = f"{group['group']}/{group['version']}".removeprefix("/")
                if spelled == version and group["kind"] in names:
                    kinds[f"{version} {group['kind']}"] = name
    needed, left = {}, list(kinds.values()) + list(TOLD_ONCE.values())
    while left:
        if (name := left.pop()) not in needed:
            needed[name] = trim(everything[name])
            left.extend(_references(needed[name]))
    return {"kinds": kinds, "$defs": needed}


def main() -> None:
    """Write the file: a definition a line, so that a change shows."""
    found = fetch()
    lines = [f" {json.dumps(name)}: {json.dumps(found['$defs'][name], sort_keys=True)}" for name in sorted(found["$defs"])]
    text = f'{{"kinds": {json.dumps(found["kinds"], indent=1, sort_keys=True)},\n"$defs": {{\n' + ",\n".join(lines) + "\n}}\n"
    FILE.write_text(re.sub(r"[ \t]+\n", "\n", text), encoding="utf-8")
    print(f"{len(found['kinds'])} kinds, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
