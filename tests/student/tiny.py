"""A tiny configuration of every architecture that a base model may have."""

from __future__ import annotations

from typing import Any

_COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
_GEMMA = {**_GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 4}

TINY: dict[str, dict[str, Any]] = {
    "bert": _COMMON,
    "distilbert": {"vocab_size": 64, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64},
    "electra": {**_COMMON, "embedding_size": 16},
    "modernbert": {**_COMMON, "cls_token_id": 0, "sep_token_id": 2, "local_attention": 8, "hidden_activation": "gelu"},
    "mpnet": _COMMON,
    "roberta": _COMMON,
    "xlm-roberta": _COMMON,
    "gemma": {**_GROUPED, "head_dim": 16},
    "gemma2": _GEMMA,
    "gemma3_text": _GEMMA,
    "llama": _GROUPED,
    "mistral": {**_GROUPED, "sliding_window": 4},
    "olmo2": _GROUPED,
    "phi3": _GROUPED,
    "qwen2": _GROUPED,
    "qwen3": {**_GROUPED, "head_dim": 16},
    "smollm3": _GROUPED,
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *TINY.items(),
    ("electra", _COMMON | {"embedding_size": 32}),
    ("modernbert", TINY["modernbert"] | {"norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    ("llama", _GROUPED | {"attention_bias": True, "mlp_bias": True, "head_dim": 12}),
    ("llama", {**_COMMON, "rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_theta": 10_000.0}),
    ("mistral", _GROUPED | {"head_dim": 12}),
    ("olmo2", _GROUPED | {"attention_bias": True}),
    ("qwen3", TINY["qwen3"] | {"attention_bias": True}),
    ("qwen2", _GROUPED | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2}),
    ("smollm3", _GROUPED | {"attention_bias": True, "mlp_bias": True, "no_rope_layers": [1, 1, 0, 1]}),
]
