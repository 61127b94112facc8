"""A frozen body whose linear weights are held in 4 bits while it trains: bitsandbytes' NF4 with double quantisation.

A weight takes 4.13 bits: four for the number, and one scale for each 64 of them in 8 bits, those in turn scaled for each 256.
Each weight is read, packed and dropped before the next one is read. A layer computes with the weight as it comes out of the
4 bits, forward and backward, made anew each time and gone afterwards. Embeddings, norms, biases and the head are not packed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from distillery.components.runtime.extras import require
from distillery.components.student.frozen import compute_frozen


def quantizable(body: nn.Module) -> dict[str, Any]:
    """Replace a body's linear layers by layers that hold their weight in 4 bits.

    Args:
        body: a body whose parameters are on the meta device, changed in place.

    Returns:
        The new layers by name, with weights that `pack` fills.

    Raises:
        InputError: bitsandbytes is not installed.
    """
    require(["bitsandbytes"])
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    made: Any = Linear4bit
    modules, layers = dict(body.named_modules()), dict[str, Any]()
    for name, module in modules.items():
        if isinstance(module, nn.Linear):
            inputs, outputs, bias = module.in_features, module.out_features, module.bias is not None
            layer: Any = made(inputs, outputs, bias, device="meta", quant_type="nf4")
            layer.weight = Params4bit(torch.empty(0), requires_grad=False, quant_type="nf4")  # filled in place
            parent, _, leaf = name.rpartition(".")
            setattr(modules[parent], leaf, layer)
            layers[name] = layer
            compute_frozen(layer)
    return layers


def type_of(weight: Any) -> torch.dtype:
    """Return the type in which a weight is multiplied, which for one in 4 bits is not the type in which it is held.

    Args:
        weight: a parameter.

    Returns:
        The type.
    """
    state = getattr(weight, "quant_state", None)
    kind: torch.dtype = state.dtype if state is not None else weight.dtype
    return kind


def pack(weight: Any, tensor: Tensor) -> None:
    """Put a tensor into a layer's weight, in 4 bits.

    Args:
        weight: of a layer that `quantizable` made, changed in place.
        tensor: (out, in) numbers, in the type of the products, on the device where they are wanted.
    """
    from bitsandbytes.functional import quantize_4bit

    packed, state = quantize_4bit(tensor, blocksize=weight.blocksize, compress_statistics=True, quant_type="nf4")
    weight.data = packed
    weight.quant_state, weight.bnb_quantized = state, True
