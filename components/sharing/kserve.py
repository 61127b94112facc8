"""Manifests for KServe: a ServingRuntime of this project's server, and the InferenceService of a filter or of one adapter.

The server reads the store itself, every byte by its digest, and follows promotions, so there is no storageUri that would name
one adapter's files a second time. The objects pass the restricted Pod Security level.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from distillery.components.artifacts.serving import judged_plan
from distillery.components.runtime.memory_limit import sized
from distillery.components.sharing.bundle_copy import AGAIN, BundleCopy
from distillery.components.sharing.targets import new_file
from distillery.components.store import Store
from distillery.components.student.bundle import check_golden
from distillery.components.student.memory import body_in, serve_need
from distillery.filters.document import read_document
from distillery.filters.errors import InputError
from distillery.filters.loading import dump_value

API: Final = "serving.kserve.io"
RUNTIME: Final = "distillery"
PORT: Final = 8080
# Grace for requests in flight, and the pause before it in which the Service stops sending more.
PAUSE, GRACE = 5, 45
RESOURCES: Final = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}
KEYS: Final = "/etc/serving"


class Place(NamedTuple):
    """Where the objects go, and as what their pods run.

    Attributes:
        namespace: of both objects.
        image: of the server.
        store: address of the store, where pods reach it; "" for what the ConfigMap `distillery` there says.
        keys: a Secret with the keys of requests under `keys`; "" for none.
    """

    namespace: str
    image: str
    store: str = ""
    keys: str = ""


def export_kserve(
    store: Store, bundle: BundleCopy, out: Path, place: Place, *, channel: str = "", replace: bool = False
) -> float:
    """Write the manifests, read them back, and score the golden texts of the adapter that they would serve now.

    Args:
        store: where the adapter is.
        bundle: the adapter.
        out: the file.
        place: where the objects go.
        channel: the channel that is followed; "" for this adapter, whatever is promoted.
        replace: True if another content of the file may be lost.

    Returns:
        The largest difference in points from the adapter's golden predictions.

    Raises:
        InputError: the adapter doesn't give its golden scores, or something else is there; nothing is left then.
    """
    difference = check_golden(bundle.student)
    objects = [serving_runtime(place), inference_service(store, bundle, place, channel=channel)]
    data = "---\n".join(map(dump_value, objects)).encode()
    with new_file(out, replace=replace) as file:
        file.write(data)
        file.flush()
        if out.exists() and not out.is_file():  # such as /dev/stdout
            return difference
        written = Path(str(file.name)).read_text(encoding="utf-8")
        if [read_document(part, str(out)).value for part in written.split("---\n")] != objects:
            raise InputError("was not written as it is", where=str(out), hint=AGAIN)
    return difference


def serving_runtime(place: Place) -> dict[str, Any]:
    """Return the ServingRuntime: how the server runs, whatever it serves.

    Args:
        place: where it goes.

    Returns:
        The object.
    """
    probe = {"httpGet": {"path": "/v2/health/ready", "port": PORT}}
    keys = [{"name": "keys", "mountPath": KEYS, "readOnly": True}] if place.keys else []
    container = {
        "name": "kserve-container",  # the name by which KServe finds it
        "image": place.image,
        "args": [
            "distillery",
            "serve",
            "--host=0.0.0.0",
            f"--port={PORT}",
            *([f"--api-key-file={KEYS}/keys"] if keys else []),
        ],
        "env": [
            {"name": "DISTILLERY_CACHE", "value": "/tmp/models"},
            *([{"name": "DISTILLERY_STORE", "value": place.store}] if place.store else []),
        ],
        "envFrom": [
            {"configMapRef": {"name": "distillery", "optional": bool(place.store)}},
            {"secretRef": {"name": "distillery-store", "optional": True}},
        ],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        # Loading takes seconds; a base model is fetched from the store first.
        "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 5, "timeoutSeconds": 5},
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": PORT},
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(PAUSE)]}}},
        "resources": {kind: dict(amounts) for kind, amounts in RESOURCES.items()},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *keys],
    }
    secret = [{"name": "keys", "secret": {"secretName": place.keys}}] if keys else []
    return {
        "apiVersion": f"{API}/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME, "namespace": place.namespace, "labels": _labels()},
        "spec": {
            "annotations": {"prometheus.kserve.io/port": str(PORT), "prometheus.kserve.io/path": "/metrics"},
            "supportedModelFormats": [{"name": RUNTIME, "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "10Gi"}}, *secret],
        },
    }


def inference_service(store: Store, bundle: BundleCopy, place: Place, *, channel: str = "") -> dict[str, Any]:
    """Return the InferenceService of a filter's channel, or of one adapter.

    Args:
        store: where the benchmark noted in which plan it judged the adapter.
        bundle: the adapter.
        place: where it goes.
        channel: the channel that is followed; "" for this adapter.

    Returns:
        The object; its name is the filter's, by which the server knows its model.
    """
    name = bundle.filter.name
    return {
        "apiVersion": f"{API}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": _labels(),
            "annotations": {
                f"{API}/deploymentMode": "Standard",  # a Deployment; no Knative is needed
                "llm-distillery.io/adapter": str(bundle.digest),
            },
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": GRACE,
                "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "model": {
                    "modelFormat": {"name": RUNTIME, "version": "1"},
                    "runtime": RUNTIME,
                    "protocolVersion": "v2",
                    # Added to the runtime's.
                    "args": [f"--channel={channel}", name] if channel else [str(bundle.digest)],
                    "resources": _resources(store, bundle, copies=2 if channel else 1),
                },
            }
        },
    }


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/component": "serving", "app.kubernetes.io/part-of": "llm-distillery"}


def _resources(store: Store, bundle: BundleCopy, *, copies: int) -> Mapping[str, Mapping[str, str]]:
    """Return requests and limits: memory for the student, and for another one while it takes over."""
    student = bundle.student
    body, facts = body_in(student.base.path, student.base.ref), student.facts
    judged = judged_plan(store, bundle.digest, bundle.filter.spec.student.precision) or student.plan
    need = max(
        serve_need(body, facts.maxLength, facts.lora, len(facts.dimensions), precision=plan.precision, engine=plan.engine).total
        for plan in (judged, student.plan)  # where a node can't compute what was judged, fp32 serves
    )
    return sized(RESOURCES, {}, copies * need, setting="", step="serving")


__all__ = ["Place", "export_kserve", "inference_service", "serving_runtime"]
