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
STORE_SECRET: Final = "distillery-store"
ORACLE_SECRET: Final = "distillery-oracle"
NOTIFY_SECRET: Final = "distillery-notify"
TRACKING_SECRET: Final = "distillery-tracking"
RESOURCES: Final = ("cpu_request", "cpu_limit", "memory_request", "memory_limit")
HOUR: Final = 3600


@dataclass(frozen=True)
class Weight:
    """What a class of steps asks for, and may use at most.

    Attributes:
        cpu: Request and limit, as Kubernetes writes them.
        memory: Request and limit.
        hours: After these Kubernetes ends the pod.
        oracle: True where the oracle's keys are needed.
        notify: True for the step that tells a webhook, whose address is a secret.
        tracking: True where a tracker or a registry may be asked for, whose keys are.
    """

    cpu: tuple[str, str]
    memory: tuple[str, str]
    hours: int
    oracle: bool = False
    notify: bool = False
    tracking: bool = False


LIGHT: Final = Weight(cpu=("50m", "1"), memory=("256Mi", "1Gi"), hours=2)
TABLE: Final = Weight(cpu=("100m", "1"), memory=("256Mi", "2Gi"), hours=6)  # the whole label set in one table
ORACLE: Final = Weight(cpu=("50m", "1"), memory=("256Mi", "2Gi"), hours=7 * 24, oracle=True)  # slow, and many articles
FIRST: Final = replace(LIGHT, oracle=True, tracking=True)  # says at once that a key is missing
LAST: Final = replace(LIGHT, notify=True)
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
    if weight.oracle:
        kubernetes.use_secret_as_volume(task, ORACLE_SECRET, f"{FOLDER}/oracle", optional=True)
    if weight.notify:
        kubernetes.use_secret_as_volume(task, NOTIFY_SECRET, f"{FOLDER}/notify", optional=True)
    if weight.tracking:
        kubernetes.use_secret_as_volume(task, TRACKING_SECRET, f"{FOLDER}/tracking", optional=True)
    return _common(task, weight.hours)


def place_torch(task: Any, cluster: Any, *, gpus: str, tracking: bool = False) -> Any:
    """Settle where and how a task that loads the student runs.

    Args:
        task: A task of a KFP graph.
        cluster: The outputs of preflight, with this cluster's resources and nodes.
        gpus: Name of the output that is the number of GPUs.
        tracking: True where a tracker or a registry may be asked for, whose keys are a secret.

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
    if tracking:
        kubernetes.use_secret_as_volume(task, TRACKING_SECRET, f"{FOLDER}/tracking", optional=True)
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="1Gi")
    return _common(task, TORCH_HOURS)


def starts_pods(task: Any) -> Any:
    """Tell a task that starts torch pods of its own the image of this version, whatever the ConfigMap names.

    Args:
        task: A task of a KFP graph.

    Returns:
        The task.
    """
    return task.set_env_variable(TORCH_VARIABLE, TORCH)


def _common(task: Any, hours: int) -> Any:
    kubernetes.use_config_map_as_volume(task, SETTINGS, f"{FOLDER}/settings", optional=True)
    kubernetes.use_secret_as_volume(task, STORE_SECRET, f"{FOLDER}/store", optional=True)
    kubernetes.set_timeout(task, hours * HOUR)
    # Reuse is the store's: KFP's cache would not notice that an object is gone.
    task.set_caching_options(False)
    return task
