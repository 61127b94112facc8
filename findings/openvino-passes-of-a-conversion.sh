#!/usr/bin/env bash
# Version: openvino 2026.4.1, torch 2.13.0
# Behaviour: convert_model of a torch module runs its forward three times for one example_input, whole passes each; a module that
#   was traced beforehand is converted without any.
# Why it surprises: an example is given to tell the shapes; one pass records the graph.
# Who is bitten: who converts a large model where it serves: each further pass takes time and the activations' memory once more.
# Seen: 3 passes to convert a module, 0 for one that was traced.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.1 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import openvino, torch

class Counting(torch.nn.Module):
    passes = 0

    def forward(self, x):
        Counting.passes += 1
        return x * 2

def passes(work):
    Counting.passes = 0
    work()
    return Counting.passes

example = torch.ones(1, 4)
traced = torch.jit.trace(Counting().eval(), example)
seen = passes(lambda: openvino.convert_model(Counting().eval(), example_input=example)), passes(lambda: openvino.convert_model(traced))
print("passes: {} to convert a module, {} for one that was traced".format(*seen))
if seen[0] < 2 or seen[1]:
    sys.exit("changed: one pass is enough")
PY
