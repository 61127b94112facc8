"""What this cluster gives to training: two JSON settings in the notation of a pod, read by the first step of a run.

DISTILLERY_TORCH_RESOURCES: {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"cpu": "8", "memory": "32Gi"}}
DISTILLERY_TORCH_NODES: {"cloud.google.com/gke-nodepool": "gpu"}
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

from distillery.components.runtime.memory_limit import sized
from distillery.components.runtime.settings import TORCH_RESOURCES, read_nodes, read_object
from distillery.filters.errors import InputError

RESOURCES: Final = "DISTILLERY_TORCH_RESOURCES"
NODES: Final = "DISTILLERY_TORCH_NODES"
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


class Cluster(NamedTuple):
    """Resources and nodes of the tasks that load the student.

    All but the nodes are strings: Kubeflow puts no number that a step returns into a pod's resources.
    """

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    train_gpus: str
    benchmark_gpus: str
    nodes: dict[str, str]


def cluster(*, trainer: str, gpus: int, need: int = 0) -> Cluster:
    """Return resources and nodes of the tasks that load the student.

    A TrainJob's pods have GPUs of their own: the task that waits for it asks for none, and the benchmark for one at most.

    Args:
        trainer: pod or trainjob.
        gpus: GPUs of the training pod, or of each node of a TrainJob.
        need: Bytes of memory that the student takes; 0 where that isn't known.

    Returns:
        What the ConfigMap of this cluster says; what it leaves out follows from the student, and is not less than our defaults.

    Raises:
        InputError: A setting cannot be read, or no pod could have it; the setting is named.
    """
    given = read_object(RESOURCES, of_objects=True)
    found = {kind: {**TORCH_RESOURCES[kind], **given.get(kind, {})} for kind in TORCH_RESOURCES}
    for kind, amounts in found.items():
        for name, amount in amounts.items():
            if name not in TORCH_RESOURCES[kind] or not isinstance(amount, str) or not _QUANTITY.fullmatch(amount):
                raise InputError(f"{kind}.{name} is {amount!r}", where=RESOURCES, hint='write "cpu": "4", "memory": "16Gi"')
    if unknown := given.keys() - TORCH_RESOURCES:
        raise InputError(f"has {', '.join(sorted(unknown))}", where=RESOURCES, hint="write requests and limits")
    nodes = read_nodes(NODES)
    found = sized(TORCH_RESOURCES, given, need, setting=RESOURCES, step="the student")
    requests, limits = found["requests"], found["limits"]
    for name in requests if given else ():
        if _amount(requests[name]) > _amount(limits[name]):
            what = f"requests.{name} {requests[name]} is more than limits.{name} {limits[name]}"
            raise InputError(what, where=RESOURCES, hint=f"give limits.{name}, too")
    return Cluster(
        requests["cpu"],
        limits["cpu"],
        requests["memory"],
        limits["memory"],
        str(gpus if trainer == "pod" else 0),
        str(min(gpus, 1)),
        nodes,
    )


def _amount(quantity: str) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity

    amount: Decimal = parse_quantity(quantity)
    return amount
