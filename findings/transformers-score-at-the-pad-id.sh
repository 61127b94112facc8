#!/usr/bin/env bash
# Version: transformers 5.23.0, torch 2.13.0
# Behaviour: LlamaForSequenceClassification takes its logits at the last token that is not pad_token_id, whatever
#   attention_mask says: a text that ends in the pad's id (pad = eos is usual) is judged at the token before. Without
#   pad_token_id one padded row is judged at its padding, while two rows raise.
# Why it surprises: the attention mask is there, is right, and is used for everything else.
# Who is bitten: scores of one and the same text differ between one at a time and batches, and between two settings of eos.
# Seen: [5 6 0], mask 1 1 1: equal to [5 6]; no pad id: [5 6 7 0 0] with mask 1 1 1 0 0 differs from [5 6 7]; two rows
#   ValueError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

def judge(pad):
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100, num_labels=1, pad_token_id=pad)
    model = LlamaForSequenceClassification(config).eval()
    def logits(rows, mask):
        with torch.no_grad():
            return model(torch.tensor(rows), attention_mask=torch.tensor(mask)).logits
    return logits

judged = judge(0)
at_pad = torch.allclose(judged([[5, 6, 0]], [[1, 1, 1]]), judged([[5, 6]], [[1, 1]]), atol=1e-5)
judged = judge(None)
padded = not torch.allclose(judged([[5, 6, 7, 0, 0]], [[1, 1, 1, 0, 0]]), judged([[5, 6, 7]], [[1, 1, 1]]), atol=1e-5)
try:
    two = str(judged([[5, 6], [5, 0]], [[1, 1], [1, 0]]))
except Exception as error:
    two = type(error).__name__
print(f"ends in the pad's id: judged at the token before {at_pad}; no pad id: judged at the padding {padded}, two rows {two}")
if (at_pad, padded, two) != (True, True, "ValueError"):
    sys.exit("changed: the token is chosen otherwise")
PY
