"""Settings and secrets of a cluster, mounted as files, become the environment of a step.

As files, since Kubeflow Pipelines 2.14 can mark a mounted ConfigMap or Secret as optional but no environment variable: a key
that one cluster lacks (an AWS endpoint, an oracle's key) would keep the pod from starting, without end and without a word in
the UI. It also keeps keys out of the pod's description, and takes any name of a key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from distillery.filters.errors import InputError
from distillery.filters.strict_json import loads

FOLDER: Final = Path("/etc/distillery")
CGROUP: Final = Path("/sys/fs/cgroup")
# What an empty parameter of a run is, by its name; the others are empty texts.
EMPTY: Final[dict[str, Any]] = {
    **{"max_rejects": "0", "overrides": [], "budget": 0.0, "trainer": "pod", "gpus": 0},  # distill
    **{"channel": "production", "shards": 0, "parallelism": 0, "columns": []},  # score
}
TRAINERS: Final = ("pod", "trainjob")
# Of a pod that loads the student, where DISTILLERY_TORCH_RESOURCES says nothing else.
TORCH_RESOURCES: Final = {"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}
THREADS: Final = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


def load_settings(folder: Path = FOLDER) -> None:
    """Set an environment variable for each file in a folder below `folder`; those that are set already stay.

    Args:
        folder: where ConfigMaps and Secrets are mounted, each as a folder with one file a key.
    """
    for path in sorted(folder.glob("*/*")):
        if _NAME.fullmatch(path.name) and path.is_file() and (text := path.read_text(encoding="utf-8").strip()):
            os.environ.setdefault(path.name, text)


def limit_threads(cgroup: Path = CGROUP) -> None:
    """Let numeric libraries start as many threads as the container may use cores, instead of one for each core of the node.

    Variables that are set already stay. Call it before torch and Arrow are imported, which read them once.

    Args:
        cgroup: where the limits of the container are.
    """
    cores = cpu_limit(cgroup)
    for name in THREADS if cores else ():
        os.environ.setdefault(name, str(cores))


def cpu_limit(cgroup: Path = CGROUP) -> int | None:
    """Return how many cores this container may use.

    Args:
        cgroup: where the limits of the container are.

    Returns:
        The number of cores, rounded up; None where there is no limit.
    """
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        if all((cgroup / file).is_file() for file in files):
            words = " ".join((cgroup / file).read_text(encoding="ascii") for file in files).split()
            return None if words[0] in ("max", "-1") else max(1, -(-int(words[0]) // int(words[1])))
    return None


def read_object(setting: str, text: str | None = None, *, of_objects: bool = False) -> dict[str, Any]:
    """Return a setting whose value is a JSON object.

    Args:
        setting: its name.
        text: its value; None for the environment's.
        of_objects: True where each value must be an object itself, as with requests and limits.

    Returns:
        The object; empty where the setting is.

    Raises:
        InputError: the setting is something else; it is named.
    """
    shape = '{"requests": {"cpu": "1"}, "limits": {"memory": "8Gi"}}' if of_objects else '{"pool": "gpu"}'
    found = _read(setting, text, "{}", shape)
    if not isinstance(found, dict) or (of_objects and not all(isinstance(value, dict) for value in found.values())):
        raise InputError("is not a JSON object" + " of objects" * of_objects, where=setting, hint=f"write {shape}")
    return found


def read_nodes(setting: str, text: str | None = None) -> dict[str, str]:
    """Return a setting that is a node selector.

    Args:
        setting: its name.
        text: its value; None for the environment's.

    Returns:
        Labels and their values; none where the setting is empty.

    Raises:
        InputError: the setting is something else; it is named.
    """
    found = read_object(setting, text)
    if not all(isinstance(value, str) for value in found.values()):
        raise InputError("a label's value is not a string", where=setting, hint='write {"pool": "gpu"}')
    return found


def read_objects(setting: str, text: str | None = None) -> list[dict[str, Any]]:
    """Return a setting whose value is a JSON list of objects, such as tolerations.

    Args:
        setting: its name.
        text: its value; None for the environment's.

    Returns:
        The objects; none where the setting is empty.

    Raises:
        InputError: the setting is something else; it is named.
    """
    shape = '[{"key": "nvidia.com/gpu", "operator": "Exists"}]'
    found = _read(setting, text, "[]", shape)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError("is not a JSON list of objects", where=setting, hint=f"write {shape}")
    return found


def _read(setting: str, text: str | None, empty: str, shape: str) -> Any:
    try:
        return loads((os.environ.get(setting, "") if text is None else text).strip() or empty)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", where=setting, hint=f"write {shape}") from None


def stated(name: str, value: Any) -> Any:
    """Return a parameter of a run, in which null is an empty one: Kubeflow hands it on as None or as the text "null".

    Args:
        name: of the pipeline's parameter.
        value: the parameter as a step gets it.

    Returns:
        The value, or what an empty one is.
    """
    return EMPTY.get(name, "") if value is None or value == "null" else value
