"""BERT's body for serving, in plain torch: modules of the names and shapes that transformers has, and the same numbers.

Importing transformers' modelling code takes 5 s of CPU, more than scoring a hundred articles; most encoders in use are BERT.
Training, and every other architecture, goes by transformers. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# hidden_act as config.json has it; another one goes by transformers.
ACTIVATIONS: dict[str, Any] = {"gelu": functional.gelu, "relu": functional.relu, "silu": functional.silu}


def plain_bert(config: Mapping[str, Any]) -> nn.Module | None:
    """Make BERT's body without weights of its own.

    Args:
        config: a checked config.json.

    Returns:
        The body, on the meta device; None where the configuration is of another architecture or activation.
    """
    if config["model_type"] != "bert" or config.get("hidden_act", "gelu") not in ACTIVATIONS:
        return None
    with torch.device("meta"):
        return _Bert(config).requires_grad_(False).eval()


def _node(**children: nn.Module) -> nn.Module:
    """Return a module that only holds others, so that their names are transformers'."""
    node = nn.Module()
    for name, child in children.items():
        node.add_module(name, child)
    return node


def _table(rows: int, width: int) -> nn.Embedding:
    """Return an embedding without numbers; to draw them on the meta device torch would import its compiler, 3 s."""
    table: Any = nn.Embedding  # its class method has no types
    made: nn.Embedding = table.from_pretrained(torch.empty(rows, width))
    return made


class _Layer(nn.Module):
    """Attention, and what comes after it: each is added to what went in, then normalised."""

    def __init__(self, width: int, inner: int, heads: int, activation: str, eps: float) -> None:
        super().__init__()
        self.heads, self.activation = heads, ACTIVATIONS[activation]
        this = _node(query=nn.Linear(width, width), key=nn.Linear(width, width), value=nn.Linear(width, width))
        self.attention = _node(self=this, output=_node(dense=nn.Linear(width, width), LayerNorm=nn.LayerNorm(width, eps=eps)))
        self.intermediate = _node(dense=nn.Linear(width, inner))
        self.output = _node(dense=nn.Linear(inner, width), LayerNorm=nn.LayerNorm(width, eps=eps))

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        this, after = self.attention.get_submodule("self"), self.attention.get_submodule("output")
        batch, longest, width = states.shape
        q, k, v = (
            this.get_submodule(name)(states).view(batch, longest, self.heads, width // self.heads).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        seen = seen.transpose(1, 2).reshape(batch, longest, width)
        states = after.get_submodule("LayerNorm")(states + after.get_submodule("dense")(seen))
        inner = self.activation(self.intermediate.get_submodule("dense")(states))
        out: Tensor = self.output.get_submodule("LayerNorm")(states + self.output.get_submodule("dense")(inner))
        return out


class _Bert(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config.get("layer_norm_eps", 1e-12)
        self.embeddings = _node(
            word_embeddings=_table(config["vocab_size"], width),
            position_embeddings=_table(config.get("max_position_embeddings", 512), width),
            token_type_embeddings=_table(config.get("type_vocab_size", 2), width),
            LayerNorm=nn.LayerNorm(width, eps=eps),
        )
        activation = config.get("hidden_act", "gelu")
        layers = [
            _Layer(width, config["intermediate_size"], config["num_attention_heads"], activation, eps)
            for _ in range(config["num_hidden_layers"])
        ]
        self.encoder = _node(layer=nn.ModuleList(layers))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        words, places, kinds, norm = (
            self.embeddings.get_submodule(name)
            for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm")
        )
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        states = norm(words(input_ids) + places(positions) + kinds(torch.zeros_like(positions)))
        mask = None if attention_mask is None else attention_mask[:, None, None, :].bool()
        for layer in self.encoder.get_submodule("layer").children():
            states = layer(states, mask)
        return SimpleNamespace(last_hidden_state=states)
