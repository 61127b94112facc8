"""Which linear layers of a base model get LoRA."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from distillery.components.student.architectures import ARCHITECTURES
from distillery.components.student.base import Base, check_base
from distillery.filters.errors import InputError
from distillery.filters.spec import Lora

if TYPE_CHECKING:
    from torch import nn


def target_names(body: nn.Module, targets: str | list[str]) -> list[str]:
    """Return the full names of the linear layers that get LoRA, in the model's order.

    Args:
        body: the base model's body.
        targets: ends of names, or "all-linear".

    Returns:
        The names.

    Raises:
        InputError: no layer's name ends in one of the targets.
    """
    from torch import nn

    return _chosen([name for name, module in body.named_modules() if isinstance(module, nn.Linear)], targets)


def _chosen(linear: list[str], targets: str | list[str]) -> list[str]:
    if targets == "all-linear":
        return linear
    ends = {target: [name for name in linear if name == target or name.endswith(f".{target}")] for target in targets}
    if missing := sorted(target for target, names in ends.items() if not names):
        raise InputError(
            f"the base model has no linear layer {missing[0]!r}",
            where="student.lora.targets",
            hint="name ends of its layers' names, or all-linear",
        )
    chosen = {name for names in ends.values() for name in names}
    return [name for name in linear if name in chosen]


def target_suffixes(names: list[str]) -> list[str]:
    """Return what adapter_config.json names: the layers without their index ("self_attn.q_proj"), so no pooler is caught.

    Args:
        names: full names from `target_names`.

    Returns:
        Each suffix once, sorted.
    """
    return sorted({re.split(r"\.\d+\.", name, maxsplit=1)[-1] for name in names})


def lora_layers(base: Base, lora: Lora) -> dict[str, tuple[int, ...]]:
    """Return the linear layers that get LoRA, worked out from the configuration alone.

    Args:
        base: the base model.
        lora: the filter's LoRA settings.

    Returns:
        (outputs, inputs) by full name.

    Raises:
        InputError: no layer's name ends in one of the targets.
    """
    config, _ = check_base(base.path, base.ref)
    linear = ARCHITECTURES[config["model_type"]].linears(config)
    return {name: linear[name] for name in _chosen(list(linear), lora.targets)}
