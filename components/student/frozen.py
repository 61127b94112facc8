"""Products with frozen weights: of bf16 weights on a CPU without bf16 instructions, and of weights in 4 bits.

torch's own bf16 product runs at an eighth of the rate of fp32 on such a CPU (AVX2: 21 against 165 GFLOPS on two cores, 512
tokens, 1,536 × 8,960). Here a block of the weight at a time becomes fp32, is multiplied and dropped: 0.7 to 1 times the fp32
rate, for 4 MB beside the weight. A whole weight at a time has 0.4 to 0.8. Inputs and results stay bf16, and sums are in fp32,
as bf16 instructions have them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillery.components.student.devices import native_bf16

BLOCK = 2**20  # numbers of a weight that are in fp32 at once


def widened(x: Tensor) -> Tensor:
    """Return a tensor in the type in which products are computed here.

    Args:
        x: any tensor.

    Returns:
        fp32 for bf16 on a CPU without bf16 instructions; else the tensor itself.
    """
    slow = x.dtype == torch.bfloat16 and x.device.type == "cpu" and not native_bf16()
    return x.float() if slow else x


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute x Wᵀ + bias in the type of x, whatever type W has.

    Args:
        x: (n, in) input.
        weight: (out, in).
        bias: (out,), or None.

    Returns:
        (n, out) output.
    """
    if x.dtype == weight.dtype:
        return functional.linear(x, weight, bias)
    out = x.new_empty(len(x), len(weight))
    for at, part in _blocks(weight):
        out[:, at : at + len(part)] = x @ part.to(x.dtype).t()
    return out if bias is None else out.add_(bias)


def backward(dy: Tensor, weight: Tensor) -> Tensor:
    """Compute dy W in the type of dy, whatever type W has: the gradient of `linear`'s input.

    Args:
        dy: (n, out) gradient of the output.
        weight: (out, in).

    Returns:
        (n, in) gradient of the input.
    """
    if dy.dtype == weight.dtype:
        return dy @ weight
    dx = dy.new_zeros(len(dy), weight.shape[1])
    for at, part in _blocks(weight):
        dx.addmm_(dy[:, at : at + len(part)], part.to(dy.dtype))
    return dx


def _blocks(weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    rows = max(1, BLOCK // weight.shape[1])
    return ((at, weight[at : at + rows]) for at in range(0, len(weight), rows))


def dense(weight: Tensor, state: Any) -> Tensor:
    """Return a weight as it is multiplied.

    Args:
        weight: (out, in) numbers, or the packed numbers of such a weight.
        state: scales, shape and type of a packed weight; None for one that is not packed.

    Returns:
        (out, in) numbers; those of a packed weight as they come out of the 4 bits, made anew.
    """
    if state is None:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    # bitsandbytes packs blocks of the flat weight. With AVX-512 its CPU kernel counts them row by row: rows of a multiple of 16
    # numbers that is none of the block's get other blocks' scales (0.50.2). With rows of a block each no two ways differ.
    flat, size = copy(state), state.shape.numel()
    flat.shape = torch.Size((1, size) if size % state.blocksize else (size // state.blocksize, state.blocksize))
    out: Tensor = dequantize_4bit(weight, flat)
    return out.view(state.shape)


class FrozenLinear(torch.autograd.Function):
    """Compute y = x Wᵀ + bias, and keep nothing but W, in the type in which it is held, for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, state: Any) -> Tensor:
        """Return the layer's output.

        Args:
            ctx: autograd's context.
            x: (…, in) input.
            weight: frozen, as `dense` takes it.
            bias: (out,) frozen bias, or None.
            state: the weight's scales, or None.

        Returns:
            (…, out) output, in the type of x.
        """
        ctx.save_for_backward(weight)
        ctx.state = state
        out = linear(widened(x.reshape(-1, x.shape[-1])), dense(weight, state), bias)
        return out.to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the input.

        Args:
            ctx: autograd's context.
            grads: the gradient of the output.

        Returns:
            One gradient for each argument of `forward`, None for what is frozen.
        """
        (weight,), dy = ctx.saved_tensors, grads[0]
        dx = backward(widened(dy.reshape(-1, dy.shape[-1])), dense(weight, ctx.state))
        return dx.to(dy.dtype).view(*dy.shape[:-1], -1), None, None, None


def compute_frozen(layer: Any) -> None:
    """Replace the forward of a linear layer whose weight doesn't train.

    bitsandbytes' own is another one in eval mode, in which our frozen body is: on CPUs with AVX-512 BF16 it puts the weight
    into another order then, and its products give their input no gradient any more.

    Args:
        layer: the layer, changed in place.
    """
    apply: Any = FrozenLinear.apply
    held = weakref.proxy(layer)  # a layer that held itself would keep its memory until the garbage collector comes by

    def forward(x: Tensor) -> Tensor:
        out: Tensor = apply(x, held.weight, held.bias, getattr(held.weight, "quant_state", None))
        return out

    layer.forward = forward


def compute_wide(body: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Let a frozen body in bf16 compute its linear layers in fp32, where this CPU is slow in bf16.

    Args:
        body: the base model's body, changed in place.
        dtype: type of its weights.

    Returns:
        The body.
    """
    if dtype == torch.bfloat16 and not native_bf16():
        for module in body.modules():
            if isinstance(module, nn.Linear):
                compute_frozen(module)
    return body
