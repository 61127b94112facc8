#!/usr/bin/env bash
# Version: torch 2.13.0, onnx 1.23.2
# Behaviour: torch.onnx.export(dynamo=False) of a new module around one in eval mode puts that inner one into training mode when it is done.
# Why it surprises: the exporter sets the mode for a while and sets it back. What it sets back is the outer module's, which is in training
#   from its making, and by train(), which goes down to all that it holds.
# Who is bitten: who wraps a model that serves to export it (pooling, a head, a clamp) and goes on with the model: dropout is drawn.
# Seen: the inner module's training is False before the export and True after it, and two calls differ.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 onnx==1.23.2 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work/model.onnx" <<'PY'
import sys
import torch

class Clamped(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).clamp(0, 10)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Dropout(0.5), torch.nn.Linear(64, 2)).eval()
x = torch.randn(4, 8)
before = model.training, torch.equal(model(x), model(x))
torch.onnx.export(Clamped(model), (x,), sys.argv[1], dynamo=False)
after = model.training, torch.equal(model(x), model(x))
print("training, two calls equal: before", before, "after", after)
if before != (False, True) or after != (True, False):
    sys.exit("changed: the inner module keeps its mode")
PY
