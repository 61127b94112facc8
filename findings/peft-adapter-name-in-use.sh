#!/usr/bin/env bash
# Version: peft 0.21.2, torch 2.13.0, transformers 5.23.0
# Behaviour: PeftModel.load_adapter(folder, name) where the name is in use takes the folder's weights, but keeps the configuration that
#   the name had: the new adapter is scaled by the old lora_alpha, layers that only the new one has are left out, and layers that only
#   the old one had go on with the old weights. add_weighted_adapter with a name in use does nothing. Neither warns or raises.
# Why it surprises: the folder holds its configuration, every other way to load it reads that, and load_adapter of a transformers model
#   raises where the name is in use.
# Who is bitten: servers and sweeps that put one adapter, or one mixture, after the other under one name. delete_adapter first is right.
# Seen: alpha 4, then one of alpha 16: a quarter of its effect; layers q and v, then one of q alone: v of the first stays; then one of
#   q, v and o: o has none; a mixture of weights 1 and 0, then of 0 and 1: still the first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 peft==0.21.2 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY'
import sys
import warnings
import torch
from peft import LoraConfig, PeftModel, get_peft_model

class Sum(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.v, self.o = (torch.nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x):
        return self.q(x) + self.v(x) + self.o(x)

def base():
    torch.manual_seed(0)
    return Sum()

def save(name, layers, alpha):
    model = get_peft_model(base(), LoraConfig(r=2, lora_alpha=alpha, target_modules=layers))
    for key, weight in model.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(weight)
    model.save_pretrained(f"{sys.argv[1]}/{name}")

def load(name):
    return PeftModel.from_pretrained(base(), f"{sys.argv[1]}/{name}")

@torch.no_grad()
def effect(model):
    return model.eval()(torch.eye(8)) - base()(torch.eye(8))

@torch.no_grad()
def of_layer(model, name):
    layer = getattr(model.base_model.model, name)
    return layer(torch.eye(8)) - layer.base_layer(torch.eye(8))

save("first", ["q", "v"], 4)
save("louder", ["q", "v"], 16)
save("fewer", ["q"], 4)
save("more", ["q", "v", "o"], 4)
first, louder, more = load("first"), load("louder"), load("more")
mixtures = {
    "louder": effect(louder) / 4,
    "fewer": effect(load("fewer")) + of_layer(first, "v"),
    "more": effect(more) - of_layer(more, "o"),
}
warnings.simplefilter("error")
seen = []
for name, mixture in mixtures.items():
    used, deleted = load("first"), load("first")
    used.load_adapter(f"{sys.argv[1]}/{name}", "default")
    deleted.delete_adapter("default")
    deleted.load_adapter(f"{sys.argv[1]}/{name}", "default")
    deleted.set_adapter("default")
    wanted = effect(load(name))
    seen.append([torch.allclose(effect(used), part, atol=1e-4) for part in (wanted, mixture)] + [torch.allclose(effect(deleted), wanted, atol=1e-4)])
    print(f"{name} after first: its own effect {seen[-1][0]}, a mixture {seen[-1][1]}; once the name is deleted, its own effect {seen[-1][2]}")

first.load_adapter(f"{sys.argv[1]}/louder", "louder")
for weights in ([1.0, 0.0], [0.0, 1.0]):
    first.add_weighted_adapter(["default", "louder"], weights, "mixed", combination_type="cat")
    first.set_adapter("mixed")
    given = [torch.allclose(effect(first), effect(load(name)), atol=1e-4) for name in ("first", "louder")]
    print(f"weights {weights}: effect of the first {given[0]}, of the second {given[1]}")
if seen != 3 * [[False, True, True]] or given != [True, False]:
    sys.exit("changed: the adapter's own configuration and weights count")
PY
