#!/usr/bin/env bash
# Version: peft 0.21.2, torch 2.13.0, transformers 5.23.0
# Behaviour: modules_to_save takes every module whose name ends in one of its words, in the middle of a name, too: "norm" is the last
#   norm of a Llama and the two of each layer, "classifier" also DistilBERT's pre_classifier. They train, and are saved as a whole.
# Why it surprises: in target_modules of the same configuration a word is a whole part of the name, and one that is none raises.
# Who is bitten: who counts what trains, keeps a body frozen, or loads the adapter where only the named module is expected.
# Seen: norm: 5 modules of a Llama of two layers; classifier: pre_classifier and classifier; target_modules proj: NoMatchingPeftModuleError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, DistilBertConfig, LlamaConfig

def llama():
    config = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=100)
    return AutoModelForSequenceClassification.from_config(config)

def distilbert():
    return AutoModelForSequenceClassification.from_config(DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=4, vocab_size=100))

def trained(model, layer, word):
    model = get_peft_model(model, LoraConfig(r=2, target_modules=[layer], modules_to_save=[word]))
    names = (name for name, weight in model.named_parameters() if weight.requires_grad and "lora_" not in name)
    return sorted({name.split(".modules_to_save")[0].removeprefix("base_model.model.") for name in names})

norms, heads = trained(llama(), "q_proj", "norm"), trained(distilbert(), "q_lin", "classifier")
print("norm:", *norms)
print("classifier:", *heads)
try:
    get_peft_model(llama(), LoraConfig(r=2, target_modules=["proj"]))
    target = "taken"
except ValueError as error:
    target = type(error).__name__
print("target_modules proj:", target)
if len(norms) != 5 or heads != ["classifier", "pre_classifier"] or target == "taken":
    sys.exit("changed: a word is matched in another way")
PY
