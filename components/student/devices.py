"""The one place that says where a student runs: device, precision and engine, for every caller that opens one.

    device    CUDA where there is one, or what the filter's student.device says
    precision fp32, or another one that the bundle's parity record lets serve and that this machine computes fast
    engine    torch, or OpenVINO where it is installed

What is preferred is fixed, and what a machine can do are facts of its processor, not timings, so that a busy machine chooses
as a quiet one does.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from distillery.components.artifacts.bundle import bundle_folder
from distillery.components.artifacts.serving import PARITY, Device, ParityFile, Plan, judged_plan
from distillery.components.runtime.extras import require
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Store
from distillery.filters.errors import InputError
from distillery.filters.spec import Student as StudentSpec
from distillery.filters.spec import Training

# What is compared with fp32 after training and may serve instead, the fastest first.
CANDIDATES = {
    "cpu": [Plan(precision="bf16", engine="openvino"), Plan(precision="bf16")],
    "cuda": [Plan(device="cuda", precision="bf16"), Plan(device="cuda", precision="fp16")],
}

GPU_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")  # NVIDIA's driver, the same below Windows, AMD's
BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16", "arm_bf16"})  # as /proc/cpuinfo and torch call it


class Choice(NamedTuple):
    """A plan, and one line for the log that says why."""

    plan: Plan
    why: str


def device_for(student: StudentSpec) -> Device:
    """Return the device that a filter's student runs on here.

    Args:
        student: the filter's student section.

    Returns:
        cuda or cpu.

    Raises:
        InputError: student.device says cuda, and there is none.
    """
    if student.device == "cpu":
        return "cpu"
    if has_cuda():
        return "cuda"
    if student.device == "cuda":
        hint = "set student.device to auto or cpu, or run where torch sees a GPU"
        raise InputError("says cuda, and torch sees no GPU here", where="student.device", hint=hint)
    return "cpu"


def require_packing(training: Training) -> None:
    """Raise unless this machine has what a training holds weights in 4 bits with, where it wants that.

    Args:
        training: the filter's training section.

    Raises:
        InputError: bitsandbytes is not installed; the hint says how it is.
    """
    if training.quantize != "none":
        require(["bitsandbytes"])


def has_cuda() -> bool:
    """True if torch sees a GPU; where no driver shows one, torch is not loaded to be asked.

    Returns:
        Whether it does.
    """
    if sys.platform == "linux" and "torch" not in sys.modules and not any(map(os.path.exists, GPU_FILES)):
        return False
    import torch

    return torch.cuda.is_available()


def able(plan: Plan) -> bool:
    """True if this machine has what a plan needs, and computes in its precision natively.

    Args:
        plan: the plan.

    Returns:
        Whether it does; always for fp32 by torch on a CPU.
    """
    if plan.engine == "openvino" and find_spec("openvino") is None:
        return False
    if plan.device == "cuda":
        if not has_cuda():
            return False
        import torch

        return plan.precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
    return plan.precision == "fp32" or (plan.precision == "bf16" and native_bf16())


@cache
def native_bf16() -> bool:
    """True if this CPU multiplies bf16 itself: AVX-512 BF16, AMX, or Arm's; elsewhere bf16 is slower than fp32.

    Returns:
        Whether it does.
    """
    try:
        known = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:  # no Linux
        import torch

        known = {name for name, there in torch.cpu.get_capabilities().items() if there}
    return not known.isdisjoint(BF16)


def plan_for(student: StudentSpec, parity: ParityFile | None, judged: Plan | None = None) -> Choice:
    """Choose how a student is served here.

    Args:
        student: the filter's student section.
        parity: the bundle's parity record; None where it has none.
        judged: what the benchmark judged; None where there is no benchmark, or for the benchmark itself.

    Returns:
        The plan: what training packaged it in, where that is not fp32; else what was judged, else the first candidate that
            passed; fp32 where this machine can't do that.

    Raises:
        InputError: student.device says cuda, and there is none.
    """
    device = device_for(student)
    plain = Plan(device=device)
    if parity is not None and parity.reference != "fp32":
        plan = Plan(device=device, precision=parity.reference)
        return Choice(plan, f"{plan}: training validated and packaged it in {parity.reference}")
    if student.precision == "fp32":
        return Choice(plain, f"{plain}: set in student.precision")
    if judged is not None and judged.precision == "fp32":
        return Choice(plain, f"{plain}: what the benchmark judged")
    if parity is None:
        return Choice(plain, f"{plain}: the bundle holds no comparison of another precision")
    for candidate in parity.passing():
        plan = candidate.plan
        wanted = plan.device == device and student.precision in ("auto", plan.precision)
        if wanted and judged in (None, plan) and able(plan):
            said = "what the benchmark judged" if judged else f"within {candidate.largest:.3f} points of fp32"
            return Choice(plan, f"{plan}: {said} on {parity.articles:,} validation articles")
    what = f"{judged}, which the benchmark judged," if judged else f"no other plan in {student.precision}"
    return Choice(plain, f"{plain}: {what} can't be had here")


def serving_plan(
    store: Store, name: str, adapter: str, student: StudentSpec, progress: Progress = quiet, *, judging: bool = False
) -> Plan:
    """Choose how an adapter is served here, and say so.

    Args:
        store: where its bundle is.
        name: name of the filter.
        adapter: digest of the bundle.
        student: the filter's student section.
        progress: told of the choice.
        judging: True for the benchmark, which chooses freely; all others follow it.

    Returns:
        The plan, for `open_bundle`.

    Raises:
        InputError: student.device says cuda, and there is none.
        StoreError: its parity record was altered.
    """
    parity = read_parity(store, name, adapter)
    judged = None if judging or parity is None else judged_plan(store, adapter, student.precision)
    plan, why = plan_for(student, parity, judged)
    if parity is not None:
        progress.note(why)
    return plan


def cluster_plan(store: Store, name: str, adapter: str, student: StudentSpec, *, gpu: bool = False) -> Plan:
    """Choose how an adapter is served by pods, whose image has torch and no OpenVINO.

    Args:
        store: where its bundle is.
        name: name of the filter.
        adapter: digest of the bundle.
        student: the filter's student section.
        gpu: True if each pod has a GPU.

    Returns:
        What training packaged it in, where that is not fp32; what the benchmark judged, if that was torch on what the pods
            have; else fp32 there.

    Raises:
        InputError: student.device says what the pods don't have.
        StoreError: its parity record was altered.
    """
    device: Device = "cuda" if gpu else "cpu"
    if gpu and student.device == "cpu":
        hint = "set student.device to auto, or let pods that score ask for no GPU"
        raise InputError("says cpu, and pods that score have a GPU each", where="student.device", hint=hint)
    judged = judged_plan(store, adapter, student.precision)
    parity = read_parity(store, name, adapter) if judged else None
    if parity is not None and parity.reference != "fp32":
        return Plan(device=device, precision=parity.reference)
    fits = judged and judged.device == device and judged.engine == "torch"
    return judged if judged and fits and parity and parity.of(judged) else Plan(device=device)


def read_parity(store: Store, name: str, adapter: str) -> ParityFile | None:
    """Return the parity record of a bundle.

    Args:
        store: where the bundle is.
        name: name of the filter.
        adapter: digest of the bundle.

    Returns:
        The record; None where the bundle has none, or there is no such adapter.

    Raises:
        StoreError: the record was altered, or has another form.
    """
    try:
        folder = bundle_folder(store, name, adapter)
    except InputError:
        return None
    return ParityFile.read(folder.read(PARITY), f"{folder.where}/{PARITY}") if PARITY in folder.files else None


def require_able(plan: Plan) -> None:
    """Raise unless this machine has the device and the engine of a plan.

    Args:
        plan: the plan.

    Raises:
        InputError: there is no GPU, or OpenVINO is not installed.
    """
    if plan.device == "cuda" and not has_cuda():
        raise InputError(f"torch sees no GPU here, and it is served in {plan}", hint="run where there is one")
    if plan.engine == "openvino":
        require(["openvino"])
