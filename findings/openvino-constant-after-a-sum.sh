#!/usr/bin/env bash
# Version: openvino 2026.4.1
# Behaviour: on the CPU a constant that is added to what ReduceSum over the last axis of a product gives is not added to each column.
# Why it surprises: each operation alone is right, and so are numpy and onnxruntime with the same graph; nothing is told.
# Who is bitten: who has a weighted sum with a bias in a model, such as a curve by its segments: scores are off by whole points.
# Seen: off by 2.18 where 0 is right; right without the constant.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openvino==2026.4.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import numpy as np
import openvino as ov
from openvino import opset13 as op

x = np.array([[0.5, -1.0, 3.0], [1.5, 0.2, -0.7]], np.float32)
start, rise = (np.linspace(a, b, 12, dtype=np.float32).reshape(3, 4) for a, b in ((-2, 1), (0.1, 1.3)))
first = np.ascontiguousarray(start[:, 0])
wanted = (np.clip((x[..., None] - start) / np.float32(0.3), 0, 1) * rise).sum(-1)

def off(constant):
    given = op.parameter([-1, 3], np.float32)
    wide = op.unsqueeze(given, op.constant([2], np.int64))
    part = op.clamp(op.divide(op.subtract(wide, op.constant(start)), op.constant(np.full((3, 4), 0.3, np.float32))), 0.0, 1.0)
    out = op.reduce_sum(op.multiply(part, op.constant(rise)), op.constant([2]))
    out = op.add(out, op.constant(first)) if constant else out
    compiled = ov.Core().compile_model(ov.Model([out], [given]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(np.abs(compiled([x])[0] - (wanted + first if constant else wanted)).max())

seen = off(False), off(True)
print("off by {:.2f} without the constant, by {:.2f} with it".format(*seen))
if seen[0] > 1e-5 or seen[1] < 0.1:
    sys.exit("changed: the constant is added to each column")
PY
