#!/usr/bin/env bash
# Version: transformers 5.23.0, torch 2.13.0
# Behaviour: "is_causal": false in a configuration makes a Llama, Qwen 2 or Mistral attend in both directions, with eager
#   and with sdpa attention. The key is none of these configurations' fields.
# Why it surprises: it is an attribute of the attention modules, and code that rebuilds or compares configurations by their
#   fields leaves it out.
# Who is bitten: who makes or takes an embedding model of a causal one, copies its configuration field by field, exports the
#   model, or loads the weights into another runtime.
# Seen: a later token changes earlier outputs: without the key False False False, with it True True True.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import torch
from transformers import AutoModel, LlamaConfig, MistralConfig, Qwen2Config

def sees_later(kind, attention, **more):
    torch.manual_seed(0)
    config = kind(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, **more)
    model = AutoModel.from_config(config, attn_implementation=attention).eval()
    with torch.no_grad():
        one, two = (model(torch.tensor([[5, 6, 7, last]])).last_hidden_state[:, :3] for last in (8, 9))
    return not torch.allclose(one, two, atol=1e-5)

for attention in ("eager", "sdpa"):
    without, given = ([sees_later(kind, attention, **more) for kind in (LlamaConfig, Qwen2Config, MistralConfig)] for more in ({}, {"is_causal": False}))
    print(f"{attention}: a later token changes earlier outputs: without the key {without}, with it {given}")
    if any(without) or not all(given):
        sys.exit("changed: the key has another effect")
PY
