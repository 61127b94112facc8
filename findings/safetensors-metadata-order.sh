#!/usr/bin/env bash
# Version: safetensors 0.8.0, numpy 2.4.6
# Behaviour: saving the same tensors with the same metadata gives other bytes each time, as soon as the metadata has two
#   keys: they are written in the order of a randomly seeded hash map. Tensors are sorted, so without metadata bytes are
#   equal.
# Why it surprises: the order is not that of the dict, differs within one process, and the format is used for its plainness.
# Who is bitten: who names files by their digest, or compares two trainings by their bytes.
# Seen: different files of 20: no metadata 1, one key 1, eight keys 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys
import numpy
from safetensors.numpy import save

seen = []
for keys in (0, 1, 8):
    metadata = {f"key{i}": "value" for i in range(keys)} or None
    seen.append(len({save({"a": numpy.zeros(2)}, metadata=metadata) for _ in range(20)}))
print("different files of 20: no metadata {}, one key {}, eight keys {}".format(*seen))
if seen[:2] != [1, 1] or seen[2] < 2:
    sys.exit("changed: the order of the metadata is fixed now" if seen[2] < 2 else "changed: bytes differ without metadata")
PY
