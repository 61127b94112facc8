#!/usr/bin/env bash
# Version: torch 2.13.0
# Behaviour: the first nn.Embedding on the meta device imports torch._dynamo, some ninety modules; nn.Linear there and
#   nn.Embedding on the CPU import none of them.
# Why it surprises: the meta device is there to describe a model without cost, and nothing was compiled.
# Who is bitten: who builds a model on meta to count its parameters or to plan its memory: seconds and some 100 MB, once a process.
# Seen: modules of torch._dynamo: 0 after nn.Linear on meta, 0 after nn.Embedding on the CPU, 93 after nn.Embedding on meta (3.3 s).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys, time
import torch

def after(module, device):
    began = time.perf_counter()
    module(4, 4, device=device)
    count = sum(name.startswith("torch._dynamo") for name in sys.modules)
    print(f"{module.__name__} on {device}: {count} modules of torch._dynamo, {time.perf_counter() - began:.1f} s")
    return count > 0

if [after(torch.nn.Linear, "meta"), after(torch.nn.Embedding, "cpu"), after(torch.nn.Embedding, "meta")] != [False, False, True]:
    sys.exit("changed: an embedding on meta imports no compiler, or something else does, too")
PY
