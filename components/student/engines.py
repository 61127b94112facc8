"""Builds what computes a batch, for a plan: the merged student in torch, or compiled by OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from distillery.components.artifacts.serving import Plan
from distillery.components.student.base import Base
from distillery.filters.spec import Lora, Pooling

if TYPE_CHECKING:
    from torch import Tensor

    from distillery.components.student.predict import Forward


def engine(plan: Plan, base: Base, lora: Lora | None, dims: int, tensors: Mapping[str, Tensor], pooling: Pooling) -> Forward:
    """Build what computes a batch.

    Args:
        plan: where, in which precision, by which engine.
        base: the base model.
        lora: the filter's LoRA settings; None where every weight was trained.
        dims: number of dimensions.
        tensors: LoRA or body, head and query, by bundle name, fp32.
        pooling: of the student.

    Returns:
        The engine; it holds the one copy of the weights.

    Raises:
        InputError: the base model's files were changed, or OpenVINO can't compile this architecture.
    """
    from distillery.components.student.model import DTYPES, merged
    from distillery.components.student.predict import TorchForward

    if plan.engine == "openvino":
        from distillery.components.student.openvino_engine import OpenVinoForward

        return OpenVinoForward(merged(base, lora, dims, tensors, pooling=pooling), plan.precision)
    return TorchForward(merged(base, lora, dims, tensors, plan.device, DTYPES[plan.precision], pooling=pooling))
