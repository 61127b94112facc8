"""The settings that make a training fit, for the hint of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distillery.filters.spec import Student, Training


def less_memory(student: Student, training: Training, fits: Callable[[Student, Training], bool]) -> str:
    """Return the settings that are enough, the least change first: shorter passes, bf16, 4 bits, then shorter articles.

    Args:
        student: the filter's student section.
        training: its training section.
        fits: says whether changed sections are enough.

    Returns:
        "training.tokensPerBatch=512, student.maxLength=256"; empty where none is.
    """
    for length in (student.maxLength, *(length for length in (512, 256, 128) if length < student.maxLength)):
        passes = {"tokensPerBatch": max(64, length)}
        changes: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, {}), (passes, {}), (passes | {"precision": "bf16"}, {})]
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
