"""The Indexed Job of a scoring job, as Kubernetes wants it.

An index that fails doesn't end the others; it is tried six times over with growing pauses. Evictions don't count, bad
input (exit code 2) fails its index at once, and a tenth of the indexes failed ends the Job: by then it is not the input
of one part. The pods pass the restricted Pod Security level, call no API, and write to /tmp and the store alone.

A Job may work for several filters over one corpus that is cut in one way: each of its pods reads a part once, and scores it for
all. Its name, labels and annotations are those of the first filter; the others have a label and an annotation each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from distillery.components.remote.kubernetes import cluster_settings
from distillery.components.runtime.images import TORCH
from distillery.components.runtime.memory_limit import quantity, sized
from distillery.components.runtime.settings import read_nodes, read_object, read_objects
from distillery.components.scoring.plan import Plan
from distillery.components.store import digest_bytes
from distillery.filters.errors import InputError

RETRIES: Final = 6
KEPT_SECONDS: Final = 3 * 24 * 3600
COMPONENT: Final = "app.kubernetes.io/component=scoring"
FILTER_LABEL: Final = "llm-distillery.io/filter"
JOB_LABEL: Final = "llm-distillery.io/scoring-job"
SCORES: Final = "llm-distillery.io/scores"
TODO: Final = "llm-distillery.io/todo"
ALSO: Final = "also.llm-distillery.io"  # /FILTER: as a label the job, as an annotation the address of the scores
SETTING: Final = "DISTILLERY_SCORING_RESOURCES"
NODES: Final = "DISTILLERY_SCORING_NODES"
TOLERATIONS: Final = "DISTILLERY_SCORING_TOLERATIONS"
GPU: Final = re.compile(r"(nvidia|amd)\.com/(gpu|mig-)")  # as device plugins name whole GPUs, shared ones and slices
RESOURCES: Final = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}


class Also(NamedTuple):
    """Another filter for which a Job scores: what is scored, and the URI of its scores."""

    plan: Plan
    out: str


@dataclass(frozen=True)
class Place:
    """Say where scoring pods run, and as what.

    Attributes:
        namespace: of the Jobs.
        image: of the pods.
        store: URI of the cluster's own store.
        queue: Kueue's LocalQueue, empty for none.
        resources: requests and limits of one pod.
        given: those of them that the cluster states; the others follow from the student.
        nodes: node selector of the pods.
        tolerations: of the pods, as Kubernetes writes them.
    """

    namespace: str
    image: str
    store: str
    queue: str
    resources: Mapping[str, Mapping[str, str]]
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()

    @property
    def gpu(self) -> str:
        """Return the name of the GPU that a pod asks for, such as nvidia.com/mig-1g.10gb; "" where it asks for none."""
        return next((name for name, n in self.resources.get("limits", {}).items() if GPU.match(name) and str(n) != "0"), "")

    @property
    def killed(self) -> str:
        """Return what to say of a pod that took more memory than it may, and how to mend it."""
        limit = self.resources.get("limits", {}).get("memory", "its limit")
        return f"killed for memory, it took more than {limit}: raise limits.memory of {SETTING}, or lower student.maxLength"

    def has_room(self, need: int) -> bool:
        """True if pods have this much memory without being made larger.

        Args:
            need: bytes.

        Returns:
            Whether their limit is as much.
        """
        return need <= quantity(self.resources.get("limits", {}).get("memory", "0"))

    def for_student(self, need: int) -> Place:
        """Return the place with the memory that a student takes.

        Args:
            need: bytes that a pod takes; 0 where that isn't known.

        Returns:
            The same place, with requests and limits that are enough.

        Raises:
            InputError: the cluster's own limit is less.
        """
        if not need:
            return self
        return replace(self, resources=sized(RESOURCES, self.given, need, setting=SETTING, step="scoring"))


def find_place(namespace: str = "") -> Place:
    """Return where Jobs go, from the environment (a step of a run), or else from the cluster's ConfigMap `distillery`.

    Args:
        namespace: of the Jobs; empty for the configured one.

    Returns:
        The namespace and settings.

    Raises:
        InputError: a setting is missing or can't be read.
    """
    space = namespace or os.environ.get("DISTILLERY_NAMESPACE") or "distillery"
    known = "DISTILLERY_IMAGE_TORCH" in os.environ and "DISTILLERY_NAMESPACE" in os.environ
    settings = {} if known else cluster_settings(space)

    def setting(name: str, default: str = "") -> str:
        return os.environ.get(name) or settings.get(name) or default

    given = read_object(SETTING, setting(SETTING), of_objects=True)
    resources = {kind: {**RESOURCES[kind], **given.get(kind, {})} for kind in RESOURCES}
    image = setting("DISTILLERY_IMAGE_TORCH", TORCH)
    nodes, tolerations = read_nodes(NODES, setting(NODES)), read_objects(TOLERATIONS, setting(TOLERATIONS))
    place = Place(space, image, setting("DISTILLERY_STORE"), setting("DISTILLERY_QUEUE"), resources, given, nodes, tolerations)
    if place.gpu and str(resources["limits"][place.gpu]) != "1":
        what = f"limits.{place.gpu} is {resources['limits'][place.gpu]}, and a pod scores on one GPU"
        raise InputError(what, where=SETTING, hint="set 1: --parallelism says how many pods there are")
    return place


def job_name(plan: Plan, out: str, todo: str = "", also: Sequence[Also] = ()) -> str:
    """Return a Job's name, made of its content: the same work into the same place has the same name.

    What is left of a job that is partly done is other work. 55 characters at most, since a pod's hostname has an index more.

    Args:
        plan: what is scored.
        out: URI of the scores.
        todo: digest of the list of parts left; empty for all.
        also: the other filters for which it scores.

    Returns:
        The name.
    """
    places = [out, *(text for each in also for text in (each.plan.job, each.out))]
    digits = digest_bytes("\n".join(places).encode())[:6]
    return "-".join(filter(None, ("score", plan.filter[:22].rstrip("-"), plan.job[:12], digits, todo[:6])))


def job_manifest(
    plan: Plan,
    place: Place,
    *,
    out: str,
    store: str,
    completions: int,
    parallelism: int,
    todo: str = "",
    also: Sequence[Also] = (),
) -> dict[str, Any]:
    """Return the Job as a Kubernetes object.

    Args:
        plan: what is scored.
        place: the cluster's namespace and settings.
        out: URI of the scores.
        store: URI of the store that the pods read from.
        completions: how many parts are left to do.
        parallelism: pods at once.
        todo: digest of the list of parts left; empty for all.
        also: the other filters for which it scores, over the same corpus cut in the same way.

    Returns:
        A body for the Kubernetes client.
    """
    kind, _, scoring = COMPONENT.partition("=")
    labels = {
        "app.kubernetes.io/name": "distillery-score",
        "app.kubernetes.io/part-of": "llm-distillery",
        kind: scoring,
        FILTER_LABEL: plan.filter,
        JOB_LABEL: plan.job[:40],
        **{f"{ALSO}/{each.plan.filter}": each.plan.job[:40] for each in also},
    }
    annotations = {SCORES: out, "llm-distillery.io/adapter": plan.adapter, TODO: todo}
    annotations |= {f"{ALSO}/{each.plan.filter}": each.out for each in also}
    queue = {}
    if place.queue:
        queue = {"kueue.x-k8s.io/queue-name": place.queue}
        if min(parallelism, completions) > 1:  # Kueue refuses a least that is no less
            annotations["kueue.x-k8s.io/job-min-parallelism"] = "1"  # admitted with what the quota has, not all or nothing
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(plan, out, todo, also),
            "namespace": place.namespace,
            "labels": labels | queue,
            "annotations": annotations,
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": completions,
            "parallelism": min(parallelism, completions),
            "backoffLimitPerIndex": RETRIES,
            "maxFailedIndexes": completions // 10 + 1,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailIndex", "onExitCodes": {"containerName": "score", "operator": "In", "values": [2]}},
                ]
            },
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(plan, place, out, store, todo, also)},
        },
    }


def _pod(plan: Plan, place: Place, out: str, store: str, todo: str, also: Sequence[Also]) -> dict[str, Any]:
    arguments = [f"--out={out}", f"--store={store}", f"--job={plan.job}", *([f"--todo={todo}"] if todo else [])]
    arguments += [f"--also={each.plan.job}={each.out}" for each in also]
    cores = {"resourceFieldRef": {"containerName": "score", "resource": "limits.cpu", "divisor": "1"}}
    container = {
        "name": "score",
        "image": place.image,
        "command": ["python", "-m", "distillery.components.scoring.worker"],
        "args": arguments,
        "env": [
            {"name": "OMP_NUM_THREADS", "valueFrom": cores},
            {"name": "DISTILLERY_CACHE", "value": "/tmp/models"},
        ],
        "envFrom": [
            {"configMapRef": {"name": "distillery", "optional": True}},
            {"secretRef": {"name": "distillery-store", "optional": True}},
        ],
        "resources": {kind: dict(amounts) for kind, amounts in place.resources.items()},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": "distillery-scoring",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}}],
        **({"nodeSelector": dict(place.nodes)} if place.nodes else {}),
        **({"tolerations": [dict(each) for each in place.tolerations]} if place.tolerations else {}),
    }
