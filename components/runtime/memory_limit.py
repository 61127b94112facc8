"""How much memory this process may use: of its cgroup (version 1 or 2), and of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from distillery.components.runtime.settings import CGROUP
from distillery.filters.errors import InputError

PROC: Final = Path("/proc")
UNLIMITED: Final = 2**60  # version 1 writes a number near 2⁶³ where there is no limit


class Room(NamedTuple):
    """Memory in bytes, and whose it is.

    Attributes:
        free: what is left now.
        total: what there is in all.
        of: "this container" or "this machine".
    """

    free: int
    total: int
    of: str


def own_files(unified: str, memory: str, cgroup: Path = CGROUP, proc: Path = PROC) -> list[Path]:
    """Return where a file of this process's cgroup lies, in version 2 and in version 1, and in the groups above it.

    Args:
        unified: the file's name in version 2.
        memory: the file's name in version 1.
        cgroup: where cgroups are mounted.
        proc: where the kernel's own figures are mounted.

    Returns:
        Paths that may not be there, those of this process first. Inside a container its own group is often the mount's root.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        parts = [part for part in path.split("/") if part]
        above = [Path(*parts[:count]) for count in range(len(parts), 0, -1)]
        if not controllers:
            files += [cgroup / folder / unified for folder in above]
        elif "memory" in controllers.split(","):
            files += [cgroup / "memory" / folder / memory for folder in above]
    return [*files, cgroup / unified, cgroup / "memory" / memory]


def room(cgroup: Path = CGROUP, proc: Path = PROC) -> Room | None:
    """Return the memory that this process may still use: the least that the machine and each of its cgroups have.

    What the kernel would drop at once (cached files) counts as free.

    Args:
        cgroup: where cgroups are mounted.
        proc: where the kernel's own figures are mounted.

    Returns:
        The memory; None where nothing tells it.
    """
    found = []
    try:
        figures = dict(line.split(":", 1) for line in (proc / "meminfo").read_text(encoding="ascii").splitlines())
        sizes = {name: int(text.split()[0]) * 1024 for name, text in figures.items()}
        found.append(Room(sizes["MemAvailable"], sizes["MemTotal"], "this machine"))
    except (OSError, ValueError, KeyError, IndexError):
        pass
    for file in own_files("memory.max", "memory.limit_in_bytes", cgroup, proc):
        old = file.name == "memory.limit_in_bytes"
        try:
            text = file.read_text(encoding="ascii").strip()
            limit = UNLIMITED if text == "max" else int(text)
            if limit >= UNLIMITED:
                continue
            used = int((file.parent / ("memory.usage_in_bytes" if old else "memory.current")).read_text(encoding="ascii"))
            words = (file.parent / "memory.stat").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue
        stat = dict(zip(words[::2], words[1::2], strict=False))
        cached = int(stat.get("total_inactive_file" if old else "inactive_file", 0))
        found.append(Room(max(0, limit - max(0, used - cached)), limit, "this container"))
    return min(found, default=None)


STEP: Final = 2**28  # what Kubernetes is asked for is rounded up to this
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS: Final[dict[str, float]] = {
    **{"": 1, "m": 1e-3},
    **{unit: 10 ** (3 * power) for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGT", 1)},
}


def quantity(text: str) -> int:
    """Return an amount of memory as a number.

    Args:
        text: as Kubernetes writes it: "2Gi", "500M".

    Returns:
        Bytes.

    Raises:
        ValueError: it is no such amount.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * _UNITS[match[2] or ""])


def sized(
    defaults: Mapping[str, Mapping[str, str]], given: Mapping[str, Mapping[str, str]], need: int, *, setting: str, step: str
) -> dict[str, dict[str, str]]:
    """Return a pod's requests and limits with the memory that its student takes, where the cluster does not say another.

    Args:
        defaults: requests and limits of a pod that needs no more.
        given: what the cluster's setting says.
        need: bytes that the student takes; 0 where that isn't known.
        setting: name of the cluster's setting.
        step: what the pod does, for the error.

    Returns:
        Requests and limits.

    Raises:
        InputError: the cluster's own limit is less than the student takes.
    """
    found = {kind: {**amounts, **given.get(kind, {})} for kind, amounts in defaults.items()}
    limit = given.get("limits", {}).get("memory")
    rounded = -(-need // STEP) * STEP
    if limit is not None and need and quantity(limit) < need:
        what = f"limits.memory is {limit}, and {step} takes about {need / 2**30:.1f} GiB"
        raise InputError(
            what, where=setting, hint=f'set limits.memory to "{rounded // 2**20}Mi", or name a smaller student.baseModel'
        )
    for kind in ("requests", "limits"):
        if given.get(kind, {}).get("memory") is None and rounded > quantity(found[kind]["memory"]):
            most = rounded if kind == "limits" or limit is None else min(rounded, quantity(limit))
            found[kind]["memory"] = f"{most // 2**20}Mi"
    return found
