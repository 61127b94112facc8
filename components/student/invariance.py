"""Measures whether an article's score depends on what shares its batch, before anything is paid.

An encoder is told what is padding; a decoder is not, since a token never sees what comes after it. A configuration can make
that untrue (bidirectional attention under a decoder's name), and a new version of transformers can read a configuration in
another way. So it is measured, with a random model of the same configuration, made small: some tenths of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distillery.components.student.base import Base, check_base
from distillery.filters.errors import InputError

MEASURED = 1  # which measurement a mirrored model has passed; another one, another number
TOLERANCE = 1e-3  # of states of about 1; float32 rounding makes some 1e-6, a token that sees padding more than 0.1
LENGTHS = (5, 11, 19)
# What makes a model small and changes nothing about who sees whom.
_SMALL = {
    "vocab_size": 64,
    "intermediate_size": 32,
    "hidden_dim": 32,
    "num_hidden_layers": 6,
    "n_layers": 2,
    "num_attention_heads": 2,
    "n_heads": 2,
    "embedding_size": 32,
    "max_position_embeddings": 64,
    "sliding_window": 4,
    "local_attention": 4,
}


def shrink(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a small configuration whose attention is that of another.

    Args:
        config: a checked config.json.

    Returns:
        The same keys, with sizes cut down; widths of heads stay, since the angles of their positions depend on them.
    """
    small = {key: min(value, _SMALL[key]) if key in _SMALL and value is not None else value for key, value in config.items()}
    width, heads = ("dim", "n_heads") if "dim" in config else ("hidden_size", "num_attention_heads")
    head = config.get("head_dim") or config[width] // config[heads]
    small[width] = small[heads] * head
    if config.get("num_key_value_heads"):
        small["num_key_value_heads"] = 1 if config["num_key_value_heads"] < config[heads] else small[heads]
    elif "num_key_value_heads" in small:
        small["num_key_value_heads"] = small[heads]
    for key in ("layer_types", "no_rope_layers"):
        if config.get(key) is not None:
            small[key] = config[key][: small["num_hidden_layers"]]
    for key in [key for key in small if key.endswith("_token_id")]:
        small[key] = 1 if key == "pad_token_id" else 0
    if config.get("original_max_position_embeddings"):
        small["original_max_position_embeddings"] = small["max_position_embeddings"]
    return small


def batch_difference(config: Mapping[str, Any]) -> float:
    """Return how far the vector of an article moves when it shares a batch with a longer one.

    Args:
        config: a checked config.json.

    Returns:
        The largest difference of a random model's pooled vectors, in units of their mean size.
    """
    import torch

    from distillery.components.student.architectures import ARCHITECTURES
    from distillery.components.student.body import random_body, settings_of
    from distillery.components.student.model import StudentModel

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        body = random_body(settings_of(shrink(config)))
        for name, weight in body.named_parameters():
            # Larger than a trained model's, so that attention is far from uniform; norms stay near 1.
            torch.nn.init.normal_(weight, 1.0 if weight.ndim == 1 and name.endswith("weight") else 0.0, 0.2)
        settings: Any = body.config
        head = torch.nn.Linear(settings.hidden_size, 1, bias=False)
        model = StudentModel(body, head, ARCHITECTURES[config["model_type"]].kind).eval()
        longest, lengths = max(LENGTHS), torch.tensor(LENGTHS)
        ids = torch.randint(2, settings.vocab_size, (len(LENGTHS), longest))
        ids[torch.arange(longest) >= lengths[:, None]] = 1  # the padding
        together = model.pooled(ids, lengths)
        alone = torch.cat([model.pooled(ids[[row], :n], lengths[[row]], full=True) for row, n in enumerate(LENGTHS)])
        return float((together - alone).abs().max() / alone.abs().mean())


def require_invariance(base: Base) -> None:
    """Raise unless a base model's scores are those of one article, whatever shares its batch.

    Args:
        base: the base model.

    Raises:
        InputError: they are not.
    """
    config, _ = check_base(base.path, base.ref)
    difference = batch_difference(config)
    # Written so that NaN fails.
    if not difference <= TOLERANCE:
        raise InputError(
            f"its scores would depend on what shares a batch (by {difference:.2g} of their size)",
            where=f"student.baseModel {base.ref}",
            hint="take a base model of another architecture",
        )
