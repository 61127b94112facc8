"""LoRA's forward as one fused operation, and its dropout.

peft makes the layers; fusing their forward saves the separate low-rank product, scaling, sum and dtype copies: with MiniLM on
two cores a third of a training step.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from distillery.components.student.frozen import backward, dense, linear, widened

ADAPTER = "default"


class LoraLinear(torch.autograd.Function):
    """Compute y = x Wᵀ + bias + s · x' Aᵀ Bᵀ as two accumulating products; x' is x after dropout, W is frozen.

    W may be held in 4 bits: it is made anew for each product, so that no pass keeps it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
        state: Any = None,
    ) -> Tensor:
        """Return the layer's output.

        Args:
            ctx: autograd's context.
            x: (…, in) input.
            dropped: x after dropout; None if it is x itself.
            weight: (out, in) frozen weight, or the packed numbers of one.
            bias: (out,) frozen bias, or None.
            a: (r, in) LoRA A.
            b: (out, r) LoRA B.
            scaling: alpha / r.
            state: scales of a packed weight; None for one that is not packed.

        Returns:
            (…, out) output.
        """
        flat = x.reshape(-1, x.shape[-1])
        seen = flat if dropped is None else dropped.reshape(flat.shape)
        wide = widened(flat)
        low = (wide if dropped is None else widened(seen)) @ widened(a).t()
        out = linear(wide, dense(weight, state), bias).addmm_(low, widened(b).t(), alpha=scaling)
        ctx.save_for_backward(seen, weight, a, b, low)
        ctx.scaling, ctx.shape, ctx.shared, ctx.state = scaling, x.shape, dropped is None, state
        return out.to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input, the dropped input, A and B.

        Args:
            ctx: autograd's context.
            grads: the gradient of the output.

        Returns:
            One gradient for each argument of `forward`, None for what is frozen.
        """
        seen, weight, a, b, low = ctx.saved_tensors
        kind, wide_a = seen.dtype, widened(a)
        dy = widened(grads[0].reshape(-1, b.shape[0]))
        dlow = (dy @ widened(b)).mul_(ctx.scaling)
        da = (dlow.t() @ widened(seen)).to(kind)
        db = (dy.t() @ low).mul_(ctx.scaling).to(kind)
        dx = backward(dy, dense(weight, ctx.state)) if ctx.needs_input_grad[0] else None
        dropped = None
        if ctx.shared:
            dx = None if dx is None else dx.addmm_(dlow, wide_a)
        elif ctx.needs_input_grad[1]:
            dropped = (dlow @ wide_a).to(kind).view(ctx.shape)
        return None if dx is None else dx.to(kind).view(ctx.shape), dropped, None, None, da, db, None, None


def dropout(x: Tensor, rate: float) -> Tensor:
    """Drop elements at random and scale the others up (inverted dropout).

    On a CPU one 64-bit draw decides eight elements (rate to the nearest 1/256), which is 8 times as fast.

    Args:
        x: any tensor.
        rate: share of the elements to drop.

    Returns:
        A tensor of the same shape.
    """
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    level = max(1, round(rate * 256))
    draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= level
    return x * kept.to(x.dtype).mul_(256 / (256 - level))


def fuse(layer: Any) -> None:
    """Replace the forward of one of peft's LoRA layers by the fused one.

    Args:
        layer: the layer, changed in place.
    """
    apply: Any = LoraLinear.apply
    linear, a, b = layer.base_layer, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    scaling, rate = layer.scaling[ADAPTER], getattr(layer.lora_dropout[ADAPTER], "p", 0.0)
    held = weakref.proxy(layer)  # as in `frozen.compute_frozen`

    def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
        dropped = dropout(x, rate) if rate and held.training else None
        state = getattr(linear.weight, "quant_state", None)
        out: Tensor = apply(x, dropped, linear.weight, linear.bias, a.to(x.dtype), b.to(x.dtype), scaling, state)
        return out

    layer.forward = forward
