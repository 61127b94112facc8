"""How much of a GPU's memory training takes, worked out from config.json, without torch and without a GPU.

    context       what CUDA and its libraries take before there is a model
    weights       the frozen body as it trains (4 bits, or whole), or the merged one that validates, never both
    adapter       LoRA and head in fp32, with gradients and AdamW's state, and LoRA once more in the type of the products
    activations   of one pass, as `memory.py` counts them

Not held to a measurement: no GPU was at hand. The parts that a CPU has, too, are held to one in tests/student/test_memory.py.
"""

from __future__ import annotations

from typing import Final

from distillery.components.student.memory import (
    ITEM,
    MERGE,
    MIB,
    Body,
    Need,
    kept,
    live,
    numbers,
    pass_tokens,
    trained_numbers,
    trained_rows,
    trained_weights,
)
from distillery.filters.digests import reference_precision
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
    trained = trained_numbers(body, student.lora, trained_rows(body, student, dims))
    by_layer = checkpointed is not False
    tokens = pass_tokens(student, training)
    passes = Need(
        "train",
        CONTEXT,
        trained_weights(body, training, item, packing=0),
        trained * (4 * 4 + item),
        kept(body, student, tokens, item, by_layer=by_layer),
        by_layer,
    )
    judged = ITEM[reference_precision(student, training)]
    longest = max(SMALLEST_PASS, student.maxLength)
    validation = Need(
        "train", CONTEXT, numbers(body) * judged, trained * 4 * 3 + MERGE, live(body, longest, student.maxLength, judged)
    )
    return max((passes, validation), key=lambda need: need.total)
