#!/usr/bin/env bash
# Version: transformers 5.23.0, accelerate 1.15.0, torch 2.13.0
# Behaviour: for sequence classification, Trainer with gradient_accumulation_steps=n sums the means of the n parts and divides by
#   nothing: loss and gradient are n times those of the same rows in one batch, for scores and for classes, with BERT and with Llama.
#   A causal language model has the same gradient either way; with trainer.model_accepts_loss_kwargs = False so has the classifier.
# Why it surprises: the documentation calls it the same update as that of the larger batch. Trainer takes a forward with **kwargs for one
#   that divides by num_items_in_batch; these drop it. AdamW hides the factor, but gradients are clipped at max_grad_norm, 1.0 by default.
# Who is bitten: who halves a batch for memory and doubles the steps: other clipping, and losses that do not compare.
# Seen: eight rows as 8 x 1, 2 x 4, 1 x 8: gradient 1, 4, 8 times for both models, 1, 1, 1 times for the causal model and with the setting.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import sys
import torch
from transformers import (
    AutoModelForCausalLM, AutoModelForSequenceClassification, BertConfig, LlamaConfig, PrinterCallback, Trainer, TrainingArguments, default_data_collator,
)

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100, "pad_token_id": 0}

def measured(auto, config, label, parts, keep=True):
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(1)
    rows = [{"input_ids": torch.randint(1, 100, (6,), generator=draw)} for _ in range(8)]
    for row in rows:
        row["labels"] = label(row, draw)
    args = TrainingArguments(
        sys.argv[1], per_device_train_batch_size=8 // parts, gradient_accumulation_steps=parts, max_steps=1, learning_rate=0.0,
        max_grad_norm=1e9, logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
    )
    trainer = Trainer(auto.from_config(config), args, train_dataset=rows, data_collator=default_data_collator)
    trainer.model_accepts_loss_kwargs = trainer.model_accepts_loss_kwargs and keep
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history[0]["loss"], trainer.state.log_history[0]["grad_norm"]

classifier, causal = AutoModelForSequenceClassification, AutoModelForCausalLM
bert = BertConfig(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=6, problem_type="regression")
llama = LlamaConfig(**SIZES, num_labels=6, problem_type="regression")

def scores(row, draw):
    return torch.rand(6, generator=draw) * 10

def kind(row, draw):
    return torch.randint(3, (), generator=draw)

def text(row, draw):
    return row["input_ids"]

for name, *what, multiplied in (
    ("BERT, six scores", classifier, bert, scores, True, True),
    ("Llama, six scores", classifier, llama, scores, True, True),
    ("Llama, three classes", classifier, LlamaConfig(**SIZES, num_labels=3), kind, True, True),
    ("Llama, causal", causal, LlamaConfig(**SIZES), text, True, False),
    ("Llama, six scores, model_accepts_loss_kwargs = False", classifier, llama, scores, False, False),
):
    auto, config, label, keep = what
    whole, *parts = (measured(auto, config, label, n, keep) for n in (1, 4, 8))
    times = [[round(part / one, 2) for part, one in zip(pair, whole)] for pair in parts]
    print(f"{name}: loss and gradient, one batch of 8 being 1: 4 parts {times[0]}, 8 parts {times[1]}")
    for n, pair in zip((4, 8), times):
        if any(abs(value - (n if multiplied else 1)) > 0.1 for value in pair):
            sys.exit(f"changed: {name}")
PY
