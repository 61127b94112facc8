"""Attention article by article, for training encoders in bf16 on a CPU.

torch's own CPU kernel is slow in bf16, mostly backward (16 articles of 192 tokens, one core, one layer: 81 ms against 40
here; 96 tokens: 47 against 15). One article's scores fit the cache, its exact length needs no mask, and their softmax is
kept for the backward pass: 14 MB a layer. In fp32, on GPUs and for decoders torch's kernel is the better one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "article_by_article"
MODELS = ("bert", "electra", "roberta", "xlm-roberta")  # those with plain bidirectional attention


class ArticleAttention(torch.autograd.Function):
    """Compute softmax(q kᵀ · scaling) v over the first `length` tokens of each article."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, lengths: list[int], scaling: float) -> Tensor:
        """Return each article's attention, with zeros where it is padded.

        Args:
            ctx: autograd's context.
            q: (b, heads, longest, width) queries.
            k: keys of the same shape.
            v: values of the same shape.
            lengths: tokens of each of the b articles.
            scaling: factor of the scores.

        Returns:
            (b, heads, longest, width) results.
        """
        q, out, shares = q * scaling, torch.zeros_like(q), []
        for row, n in enumerate(lengths):
            share = torch.softmax(torch.bmm(q[row, :, :n], k[row, :, :n].transpose(1, 2)), -1)
            out[row, :, :n] = torch.bmm(share, v[row, :, :n])
            shares.append(share)
        ctx.save_for_backward(q, k, v, *shares)
        ctx.lengths, ctx.scaling = lengths, scaling
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values.

        Args:
            ctx: autograd's context.
            grads: the gradient of the result.

        Returns:
            One gradient for each argument of `forward`, None for lengths and scaling.
        """
        q, k, v, *shares = ctx.saved_tensors
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for row, (n, share) in enumerate(zip(ctx.lengths, shares, strict=True)):
            dout = grads[0][row, :, :n]
            dv[row, :, :n] = torch.bmm(share.transpose(1, 2), dout)
            dshare = torch.bmm(dout, v[row, :, :n].transpose(1, 2))
            dscore = torch.ops.aten._softmax_backward_data(dshare, share, -1, share.dtype)
            dq[row, :, :n] = torch.bmm(dscore, k[row, :, :n])
            dk[row, :, :n] = torch.bmm(dscore.transpose(1, 2), q[row, :, :n])
        return dq * ctx.scaling, dk, dv, None, None


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Answer as transformers' attention interface; attention_mask: (b, longest), or None where no row is padded."""
    lengths = [query.shape[2]] * len(query) if attention_mask is None else attention_mask.sum(1).tolist()
    apply: Any = ArticleAttention.apply
    with torch.autocast(query.device.type, enabled=False):  # the products before it have chosen the type
        out: Tensor = apply(query, key, value, lengths, scaling)
    return out.transpose(1, 2).contiguous(), None


def _mask(*_: Any, attention_mask: Tensor | None = None, **__: Any) -> Tensor | None:
    return attention_mask


def attend_by_article(body: nn.Module) -> bool:
    """Switch a body to attention that runs article by article.

    Args:
        body: the base model's body, changed in place.

    Returns:
        True if it was switched; False if its architecture isn't one of `MODELS`, and nothing was changed.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    config: Any = body.config
    if config.model_type not in MODELS:
        return False
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _mask)
    config._attn_implementation = NAME
    return True
