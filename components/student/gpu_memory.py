"""How much of a GPU's memory training takes, worked out from config.json, without torch and without a GPU.

    context       what CUDA and its libraries take before there is a model
    weights       the frozen body as it trains (4 bits, or whole), or the merged one that validates, never both
    adapter       LoRA and head in fp32, with gradients and AdamW's state, and LoRA once more in the type of the products
    activations   of one pass, as `memory.py` counts them

Not held to a measurement: no GPU was at hand. The parts that a CPU has, too, are held to one in tests/student/test_memory.py.
"""

from __future__ import annotations

from typing import Final

from distillery.components.student.devices import device_for, has_cuda, reference
from distillery.components.student.less_memory import less_memory
from distillery.components.student.memory import (
    ITEM,
    MERGE,
    MIB,
    Body,
    Need,
    gib,
    kept,
    live,
    numbers,
    trained_numbers,
    trained_weights,
)
from distillery.filters.errors import InputError
from distillery.filters.spec import Student, Training

CONTEXT: Final = 640 * MIB
SMALLEST_PASS: Final = 512  # tokens; passes of validation take what a GPU has left, and no less than this


def gpu_need(body: Body, student: Student, training: Training, dims: int, *, checkpointed: bool | None = None) -> Need:
    """Return what training takes of a GPU: its passes, or validation by the merged body, whichever is more.

    Args:
        body: the base model.
        student: the filter's student section.
        training: its training section; precision "auto" counts as bf16.
        dims: number of dimensions.
        checkpointed: whether it keeps one layer's activations at a time; None for checkpointed.

    Returns:
        The need of the step "train".
    """
    item = ITEM["bf16" if training.precision == "auto" else training.precision]
    trained = trained_numbers(body, student.lora, dims)
    by_layer = checkpointed is not False
    tokens = max(student.maxLength, min(training.tokensPerBatch, training.batchSize * student.maxLength))
    passes = Need(
        "train",
        CONTEXT,
        trained_weights(body, training, item, packing=0),
        trained * (4 * 4 + item),
        kept(body, student, tokens, item, by_layer=by_layer),
        by_layer,
    )
    judged = ITEM[reference(student, training)]
    longest = max(SMALLEST_PASS, student.maxLength)
    validation = Need(
        "train", CONTEXT, numbers(body) * judged, trained * 4 * 3 + MERGE, live(body, longest, student.maxLength, judged)
    )
    return max((passes, validation), key=lambda need: need.total)


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
    more = "take a GPU with more, or name a smaller student.baseModel"
    settings = less_memory(student, training, lambda cut, less: gpu_need(body, cut, less, dims).total <= total)
    raise InputError(
        f"train takes about {need} of a GPU, and the GPU has {gib(total)}",
        where=f"student.baseModel {student.baseModel}",
        hint=f"{{overrides}} {settings} would fit; or {more}" if settings else more,
    )


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
