"""Where and how a task runs on Kubernetes: resources, settings, secrets, time limit, shared memory, GPUs, nodes.

Properties of a step are fixed here. Properties of the cluster are read from the ConfigMap `distillery` while the run runs, by
its first step (`distillery.components.preflight.cluster`). So one compiled pipeline, with one name, serves a test cluster of
two cores and one with GPUs, and nobody compiles to change a node pool. A laptop's runner ignores all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from kfp import kubernetes

from distillery.components.runtime.images import TORCH, TORCH_VARIABLE
from distillery.components.runtime.settings import FOLDER

SETTINGS: Final = "distillery"  # ConfigMap
# Secrets distillery-…; a task gets the keys that it needs.
STORE: Final = "store"
ASKS: Final = "oracle"
TELLS: Final = "notify"  # the address of a webhook is a secret
TRACKS: Final = "tracking"  # of trackers and registries
RESOURCES: Final = ("cpu_request", "cpu_limit", "memory_request", "memory_limit")
HOUR: Final = 3600


@dataclass(frozen=True)
class Weight:
    """What a class of steps asks for, and may use at most.

    Attributes:
        cpu: Request and limit, as Kubernetes writes them.
        memory: Request and limit.
        hours: After these Kubernetes ends the pod.
        keys: Secrets that are needed beside the store's.
    """

    cpu: tuple[str, str]
    memory: tuple[str, str]
    hours: int
    keys: tuple[str, ...] = ()


LIGHT: Final = Weight(cpu=("50m", "1"), memory=("256Mi", "1Gi"), hours=2)
TABLE: Final = Weight(cpu=("100m", "1"), memory=("256Mi", "2Gi"), hours=6)  # the whole label set in one table
ORACLE: Final = Weight(cpu=("50m", "1"), memory=("256Mi", "2Gi"), hours=7 * 24, keys=(ASKS,))  # slow, and many articles
FIRST: Final = replace(LIGHT, keys=(ASKS, TRACKS))  # says at once that a key is missing
LAST: Final = replace(LIGHT, keys=(TELLS,))
TORCH_HOURS: Final = 7 * 24


def place(task: Any, weight: Weight = LIGHT) -> Any:
    """Settle where and how a task without a student runs.

    Args:
        task: A task of a KFP graph.
        weight: What its pod asks for.

    Returns:
        The task.
    """
    task.set_cpu_request(weight.cpu[0]).set_cpu_limit(weight.cpu[1])
    task.set_memory_request(weight.memory[0]).set_memory_limit(weight.memory[1])
    return _common(task, weight.hours, weight.keys)


def place_torch(task: Any, cluster: Any, *, gpus: str, keys: tuple[str, ...] = ()) -> Any:
    """Settle where and how a task that loads the student runs.

    Args:
        task: A task of a KFP graph.
        cluster: The outputs of preflight, with this cluster's resources and nodes.
        gpus: Name of the output that is the number of GPUs.
        keys: Secrets that are needed beside the store's.

    Returns:
        The task.
    """
    # kfp 2.17 hands these down into a dsl.If only where it is told that the task reads them.
    task.register_pipeline_channels([cluster[name] for name in (*RESOURCES, gpus)])
    task.set_cpu_request(cluster["cpu_request"]).set_cpu_limit(cluster["cpu_limit"])
    task.set_memory_request(cluster["memory_request"]).set_memory_limit(cluster["memory_limit"])
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(cluster[gpus])
    kubernetes.add_node_selector_json(task, cluster["nodes"])
    # The default 64 MiB of a container end DataLoader workers and NCCL; this counts as the container's memory.
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="1Gi")
    return _common(task, TORCH_HOURS, keys)


def starts_pods(task: Any) -> Any:
    """Tell a task that starts torch pods of its own the image of this version, whatever the ConfigMap names.

    Args:
        task: A task of a KFP graph.

    Returns:
        The task.
    """
    return task.set_env_variable(TORCH_VARIABLE, TORCH)


def _common(task: Any, hours: int, keys: tuple[str, ...]) -> Any:
    kubernetes.use_config_map_as_volume(task, SETTINGS, f"{FOLDER}/settings", optional=True)
    for key in (*keys, STORE):
        kubernetes.use_secret_as_volume(task, f"distillery-{key}", f"{FOLDER}/{key}", optional=True)
    kubernetes.set_timeout(task, hours * HOUR)
    # Reuse is the store's: KFP's cache would not notice that an object is gone.
    task.set_caching_options(False)
    return task
