"""Whether a student fits: what its steps take is held against a limit, and refused with the settings that would fit.

It is told before anything is paid, and without torch, but for a GPU, whose size torch knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from distillery.components.runtime.memory_limit import room
from distillery.components.student.devices import device_for, has_cuda
from distillery.components.student.gpu_memory import gpu_need
from distillery.components.student.memory import Body, Need, gib, needs
from distillery.filters.errors import InputError
from distillery.filters.spec import Student, Training


def require_room(
    body: Body, student: Student, training: Training, dims: int, limit: int | None, *, whose: str, more: str
) -> list[Need]:
    """Return what the steps take of a pod's or a machine's memory, and refuse a student that takes more than there is.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section.
        dims: number of dimensions.
        limit: bytes that a step may use; None for any number.
        whose: who may use no more, for the error.
        more: how to get more, for the hint.

    Returns:
        What `needs` returns.

    Raises:
        InputError: a step takes more; the hint names the settings that would fit, or how to get more.
    """
    found = needs(body, student, training, dims)
    largest = max(found, key=lambda need: need.total)
    if limit is None or largest.total <= limit:
        return found

    def fits(cut: Student, less: Training) -> bool:
        return max(need.total for need in needs(body, cut, less, dims)) <= limit

    _refuse(f"{largest.step} takes about {largest}, and {whose} has {gib(limit)}", student, training, fits, more)


def require_room_here(body: Body, student: Student, training: Training, dims: int) -> list[Need]:
    """Return what the steps take, and refuse a student that takes more memory than this machine or container has left.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section.
        dims: number of dimensions.

    Returns:
        What `needs` returns.

    Raises:
        InputError: as `require_room`.
    """
    found = room()
    more = "close other programs, or take a larger machine" if found and "machine" in found.of else "raise its memory limit"
    limit, whose = (found.free, found.of) if found else (None, "")
    return require_room(body, student, training, dims, limit, whose=whose, more=more)


def require_gpu(body: Body, student: Student, training: Training, dims: int, total: int) -> Need:
    """Return what training takes of a GPU, and refuse what a GPU has not.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section.
        dims: number of dimensions.
        total: the GPU's memory in bytes.

    Returns:
        What `gpu_need` returns.

    Raises:
        InputError: it takes more; the hint names the settings that would fit.
    """
    need = gpu_need(body, student, training, dims)
    if need.total <= total:
        return need

    def fits(cut: Student, less: Training) -> bool:
        return gpu_need(body, cut, less, dims).total <= total

    what = f"train takes about {need} of a GPU, and the GPU has {gib(total)}"
    _refuse(what, student, training, fits, "take a GPU with more")


def require_gpu_here(body: Body, student: Student, training: Training, dims: int) -> Need | None:
    """Return what training takes of this machine's GPU, and refuse what that has not.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section.
        dims: number of dimensions.

    Returns:
        The need; None where training takes no GPU here.

    Raises:
        InputError: it takes more than the GPU has, or student.device says cuda and there is no GPU.
    """
    if not has_cuda() or device_for(student) != "cuda":
        return None
    import torch

    return require_gpu(body, student, training, dims, torch.cuda.get_device_properties(0).total_memory)


def _refuse(what: str, student: Student, training: Training, fits: Callable[[Student, Training], bool], more: str) -> NoReturn:
    settings = _enough(student, training, fits)
    hint = f"{{overrides}} {settings} would fit; or {more}" if settings else f"{more}, or name a smaller student.baseModel"
    raise InputError(what, where=f"student.baseModel {student.baseModel}", hint=hint)


def _enough(student: Student, training: Training, fits: Callable[[Student, Training], bool]) -> str:
    """Return the settings with which it fits, the least change first.

    Shorter passes, a base model that trains in bf16, one that serves in bf16 too, 4 bits, then shorter articles.
    """
    for length in (student.maxLength, *(length for length in (512, 256, 128) if length < student.maxLength)):
        passes = {"tokensPerBatch": max(64, length)}
        changes: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}), (passes, {}), (passes | {"precision": "bf16"}, {})]
        if training.quantize != "none":
            changes.append(({}, {"precision": "bf16"}))
        if student.lora is not None:
            changes.append(({"precision": "bf16"}, {"precision": "bf16"}))
            changes.append((passes | {"precision": "bf16"}, {"precision": "bf16"}))
        if student.lora is not None and training.strategy == "ddp":
            changes.append(({"quantize": "nf4"}, {"precision": "bf16"}))
            changes.append((passes | {"precision": "bf16", "quantize": "nf4"}, {"precision": "bf16"}))
        for changed, served in changes:
            less = training.model_copy(update=changed)
            cut = student.model_copy(update={**served, "maxLength": length})
            if fits(cut, less):
                stated = [f"training.{name}={value}" for name, value in changed.items() if getattr(training, name) != value]
                ours = {**served, "maxLength": length}
                return ", ".join(stated + [f"student.{n}={value}" for n, value in ours.items() if getattr(student, n) != value])
    return ""
