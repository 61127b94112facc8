#!/usr/bin/env bash
# Version: transformers 5.23.0, accelerate 1.15.0, torch 2.13.0
# Behaviour: default_data_collator, which Trainer takes where it has no tokenizer, gives all labels of a batch the type of the first: with
#   7 in front 7.9 becomes 7, with 7.9 in front it stays. So do lists in "label_ids", by the first number of the first row; the same lists
#   in "labels" keep their fractions.
# Why it surprises: torch.tensor makes floats of a list that holds one, a loss is computed either way, and the order is shuffled: which
#   labels lose their fractions is another thing each epoch.
# Who is bitten: scores from JSON, where 7 and 7.5 are an integer and a float. A table's column has one type, and is safe.
# Seen: label 7, 7.9 -> [7, 7]; 7.9, 7 -> [7.9, 7.0]; label_ids [7, 2.5], [7.9, 3] -> [[7, 2], [7, 3]]; labels -> as they are.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import sys
from transformers import AutoModelForSequenceClassification, BertConfig, Trainer, TrainingArguments

config = BertConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=100, num_labels=1)
args = TrainingArguments(sys.argv[1], use_cpu=True, report_to=[], per_device_eval_batch_size=2)
trainer = Trainer(AutoModelForSequenceClassification.from_config(config), args)

def batch(key, *labels):
    rows = [{"input_ids": [5, 6, 7], key: label} for label in labels]
    labels = next(iter(trainer.get_eval_dataloader(rows)))["labels"]
    return [[round(value, 3) for value in label] if isinstance(label, list) else round(label, 3) for label in labels.tolist()]

seen = {
    "label 7, 7.9": batch("label", 7, 7.9),
    "label 7.9, 7": batch("label", 7.9, 7),
    "label_ids [7, 2.5], [7.9, 3]": batch("label_ids", [7, 2.5], [7.9, 3]),
    "labels [7, 2.5], [7.9, 3]": batch("labels", [7, 2.5], [7.9, 3]),
}
for name, value in seen.items():
    print(name, "->", value)
if list(seen.values()) != [[7, 7], [7.9, 7], [[7, 2], [7, 3]], [[7, 2.5], [7.9, 3]]]:
    sys.exit("changed: the first label does not decide")
PY
