"""What kind of machine this is, and how much memory this process holds. No host's name is told."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
NAMES: Final = ("model name", "cpu model", "Hardware")  # of x86 and Arm, as /proc/cpuinfo spells them


def machine_class(device: str = "cpu", proc: Path = PROC) -> str:
    """Return the class of this machine: equal ones take about equally long for the same work.

    Args:
        device: what computes, cpu or cuda.
        proc: where the kernel's own figures are mounted.

    Returns:
        The name of the GPU, or that of the processor with the threads that compute ("AMD EPYC 9B14, 2 threads").
    """
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    count = threads()
    return f"{_processor(proc)}, {count} thread{'' if count == 1 else 's'}"


def threads() -> int:
    """Return how many threads compute on the CPU.

    Returns:
        What torch uses where it is loaded; else the cores that this process may use.
    """
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor(proc: Path) -> str:
    """Return the processor's name, its blanks single."""
    try:
        text = (proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    named = {name.strip(): " ".join(value.split()) for name, value in fields.items()}
    found = next((named[name] for name in NAMES if named.get(name)), "")
    return (found or platform.processor() or platform.machine() or "an unknown processor")[:200]


def peak_memory_mb() -> int:
    """Return the largest resident size of this process since it began.

    Returns:
        MB of 2**20 bytes.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def forget_peak(proc: Path = PROC) -> bool:
    """Let the kernel note the largest resident size anew, from now on.

    Args:
        proc: where the kernel's own figures are mounted.

    Returns:
        False where it can't: `peak_since` says nothing then.
    """
    try:
        (proc / "self" / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_since(proc: Path = PROC) -> int | None:
    """Return the largest resident size of this process since `forget_peak`.

    Args:
        proc: where the kernel's own figures are mounted.

    Returns:
        MB of 2**20 bytes; None where the kernel doesn't tell.
    """
    try:
        lines = (proc / "self" / "status").read_text(encoding="ascii", errors="replace").splitlines()
        size = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return round(int(size) / 2**10)
    except (OSError, StopIteration, IndexError, ValueError):
        return None
