#!/usr/bin/env bash
# Version: transformers 5.23.0, gguf 0.19.0, torch 2.13.0
# Behaviour: a model of a GGUF file counts as quantized though every weight is a plain fp32 parameter, in the file, too:
#   save_pretrained and Trainer refuse it. GgufConfig(dequantize=True) as quantization_config makes the same weights one that
#   can be saved.
# Why it surprises: nothing is packed, in the file or in memory, and what fails is the last step of a conversion.
# Who is bitten: who turns a GGUF file into safetensors, or trains from one.
# Seen: fp32 weights and no more; "The model is quantized with gguf and is not serializable"; with dequantize=True it is
#   saved, and the weights are equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - 2> "$work/log" <<'PY' || { tail -5 "$work/log"; exit 1; }
import sys
import torch
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM, GgufConfig, LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "model.layers": "blk",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm", "input_layernorm": "attn_norm",
}
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 64}
file = GGUFWriter("model.gguf", "llama")
file.add_context_length(64)
file.add_embedding_length(32)
file.add_block_count(1)
file.add_feed_forward_length(64)
file.add_head_count(4)
file.add_head_count_kv(4)
file.add_layer_norm_rms_eps(1e-6)
file.add_vocab_size(64)
for name, weight in LlamaForCausalLM(LlamaConfig(**shape)).state_dict().items():
    for theirs, its in NAMES.items():
        name = name.replace(theirs, its)
    file.add_tensor(name, weight.numpy())  # fp32: nothing is quantized
file.write_header_to_file()
file.write_kv_data_to_file()
file.write_tensors_to_file()
file.close()

def refusal(action):
    try:
        action()
    except ValueError as error:
        return str(error)
    return ""

marked = AutoModelForCausalLM.from_pretrained(".", gguf_file="model.gguf")
plain = AutoModelForCausalLM.from_pretrained(".", gguf_file="model.gguf", quantization_config=GgufConfig(dequantize=True))
kinds = {str(parameter.dtype) for parameter in marked.parameters()}
equal = all(torch.equal(one, other) for one, other in zip(marked.state_dict().values(), plain.state_dict().values(), strict=True))
saving, saving_plain = (refusal(lambda each=each: each.save_pretrained("out")) for each in (marked, plain))
arguments = TrainingArguments(output_dir="out", use_cpu=True, report_to="none")
training = refusal(lambda: Trainer(model=marked, args=arguments))
print(f"weights {kinds}, equal with dequantize=True: {equal}")
print(f"save_pretrained: {saving[:70] or 'saved'}\nTrainer: {training[:90] or 'taken'}\nwith dequantize=True: {saving_plain[:70] or 'saved'}")
if kinds != {"torch.float32"} or not equal or not saving or not training or saving_plain:
    sys.exit("changed: such a model is no longer taken for a quantized one, or dequantize=True no longer helps")
PY
