"""A TrainJob meets the three ages of Kubeflow Trainer: an API that drops no field without a word says which one it speaks."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distillery.components.remote import kubernetes as kube
from distillery.components.scoring import cluster_jobs
from distillery.components.training.trainjob import train_job
from distillery.components.training.trainjob_api import MANAGER, PLACEMENTS, Api
from distillery.filters.errors import InputError
from tests.training.conftest import filter_of
from tests.training.fake_api import ARGUMENTS, INPUTS, STORE

NODES = {"pool": "gpu"}
NODE = [{"name": "node"}]
REPLICATED = {"name": "node", "template": {"spec": {"template": {"spec": {"nodeSelector": NODES}}}}}
ANYTHING: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
SELECTOR = {"properties": {"nodeSelector": ANYTHING}}
FIELDS: dict[str, dict[str, Any]] = {
    "podSpecOverrides": {"items": {"properties": {"targetJobs": ANYTHING, **SELECTOR["properties"]}}},
    "podTemplateOverrides": {"items": {"properties": {"targetJobs": ANYTHING, "metadata": ANYTHING, "spec": SELECTOR}}},
    "runtimePatches": {"items": {"properties": {"manager": ANYTHING, "trainingRuntimeSpec": ANYTHING}}},
}
COMMON = ("runtimeRef", "trainer", "labels", "suspend")


def crd(*fields: str) -> dict[str, Any]:
    """Return the schema of a TrainJob's spec of one age."""
    return {"properties": {**dict.fromkeys(COMMON, ANYTHING), **{field: FIELDS[field] for field in fields}}}


def unknown(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    if isinstance(value, list):
        return [each for at, item in enumerate(value) for each in unknown(item, schema["items"], f"{path}[{at}]")]
    known = schema.get("properties", {})
    return [
        each
        for name, item in value.items()
        for each in ([f"{path}.{name}"] if name not in known else unknown(item, known[name], f"{path}.{name}"))
    ]


class Server:
    """The API server with one CRD: without strict validation it prunes, as Kubernetes does; with it, it refuses."""

    def __init__(self, schema: dict[str, Any] | None, status: int = 0, message: str = "") -> None:
        self.schema, self.status, self.message = schema, status, message
        self.kept: list[dict[str, Any]] = []

    def _refuse(self, status: int, message: str) -> None:
        from kubernetes.client.exceptions import ApiException

        error = ApiException(status=status)
        error.body = json.dumps({"message": message})
        raise error

    def create_namespaced_custom_object(self, *where: Any, field_validation: str = "Warn", _request_timeout: Any) -> Any:
        body = where[-1]
        if self.schema is None:
            self._refuse(404, "404 page not found")
        if self.status:
            self._refuse(self.status, self.message)
        wrong = unknown(body["spec"], self.schema or {}, "spec")
        if wrong and field_validation == "Strict":
            fields = ", ".join(f'unknown field "{field}"' for field in wrong)
            kind = 'TrainJob in version "v1alpha1" cannot be handled as a TrainJob'
            self._refuse(400, f"{kind}: strict decoding error: {fields}")
        dropped = {field.split(".")[1].partition("[")[0] for field in wrong}
        self.kept.append({**body, "spec": {name: value for name, value in body["spec"].items() if name not in dropped}})
        return body


def made(monkeypatch: pytest.MonkeyPatch, server: Server, *, nodes: bool = True) -> dict[str, Any]:
    monkeypatch.setattr(kube, "custom", lambda: server)
    monkeypatch.setattr(kube, "core", lambda: server)
    monkeypatch.setenv("DISTILLERY_IMAGE_TORCH", "localhost/torch:0")
    monkeypatch.setenv("DISTILLERY_TORCH_NODES", json.dumps(NODES) if nodes else "")
    body = train_job(filter_of(Path("/models/tiny")), INPUTS, STORE, ARGUMENTS, gpus=0, namespace="here")
    Api("here").create(body)
    (kept,) = server.kept
    spec: dict[str, Any] = kept["spec"]
    return spec


@pytest.mark.parametrize(
    ("fields", "field", "value"),
    [
        (["podSpecOverrides"], "podSpecOverrides", [{"targetJobs": NODE, "nodeSelector": NODES}]),
        (
            ["podTemplateOverrides"],
            "podTemplateOverrides",
            [{"targetJobs": [{"name": "node"}], "spec": {"nodeSelector": NODES}}],
        ),
        (
            ["runtimePatches"],
            "runtimePatches",
            [
                {
                    "manager": MANAGER,
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [REPLICATED]}}},
                }
            ],
        ),
        (list(PLACEMENTS), "runtimePatches", None),
        (["podSpecOverrides", "podTemplateOverrides"], "podTemplateOverrides", None),
    ],
)
def test_each_age_is_told_which_nodes(monkeypatch: pytest.MonkeyPatch, fields: list[str], field: str, value: Any) -> None:
    spec = made(monkeypatch, Server(crd(*fields)))
    assert [name for name in PLACEMENTS if name in spec] == [field], "the choice of nodes was dropped, or made twice"
    assert value is None or spec[field] == value


def test_where_no_nodes_are_chosen_any_age_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not set(PLACEMENTS) & set(made(monkeypatch, Server(crd()), nodes=False))


def test_a_trainer_of_none_of_these_ages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(crd())
    with pytest.raises(InputError, match="so that no nodes can be chosen"):
        made(monkeypatch, server)
    assert server.kept == []


@pytest.mark.parametrize("lacks", COMMON[:3])
def test_any_other_field_that_the_cluster_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch, lacks: str) -> None:
    schema = crd(*PLACEMENTS)
    del schema["properties"][lacks]
    with pytest.raises(InputError, match=rf'unknown field "spec\.{lacks}"'):
        made(monkeypatch, Server(schema))


def test_a_refusal_is_not_taken_for_another_age(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="denied the request"):
        made(monkeypatch, Server(crd(*PLACEMENTS), 403, "admission webhook denied the request"))
    with pytest.raises(InputError, match="this cluster has no TrainJobs"):
        made(monkeypatch, Server(None))


def test_a_scoring_job_is_validated_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    client = SimpleNamespace(create_namespaced_job=lambda *_, **more: asked.append(more))
    monkeypatch.setattr(cluster_jobs, "batch", lambda: client)
    body = {"metadata": {"name": "x", "annotations": {cluster_jobs.SCORES: "s3://b/x"}}}
    assert cluster_jobs.create_job("here", body) is False
    assert asked[0]["field_validation"] == "Strict"


WRITES = ("create_", "patch_", "replace_")


def test_nothing_is_written_to_a_cluster_but_strictly() -> None:
    """Every method of the Kubernetes client that writes an object is handed to `create`, or asked with strict validation."""
    root, found = Path(kube.__file__).parents[2], 0
    for path in (path for folder in ("components", "pipelines") for path in (root / folder).resolve().rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        strict = {
            id(call.args[0])
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            and call.args
            and (
                ast.unparse(call.func).rsplit(".", 1)[-1] == "create"
                or any(word.arg == "field_validation" and ast.unparse(word.value) == "'Strict'" for word in call.keywords)
            )
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith(WRITES) and "namespaced" in node.attr:
                found += 1
                assert id(node) in strict, f"{path}:{node.lineno}"
    assert found == 4
