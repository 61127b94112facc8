#!/usr/bin/env bash
# Version: datasets 5.2.0, pyarrow 26.0.1, pandas 3.1.1, huggingface_hub 2.4.0
# Behaviour: load_dataset("json", data_files=PATH) keys its cache by the path and the time of change: a file with other
#   content, and of another size, at the same path and time gives the rows of the first.
# Why it surprises: its cache is known for fingerprints; here none is taken of the content.
# Who is bitten: files with a fixed time: images and archives made reproducible, mounts of ConfigMaps, copies that keep the
#   time.
# Seen: first [1]; other content, same time [1]; other time [2, 3].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 huggingface_hub==2.4.0
export HF_HOME="$work/home" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$work/venv/bin/python" - "$work/rows.jsonl" <<'PY'
import os, sys
from datasets import load_dataset

def rows(text, when):
    with open(sys.argv[1], "w") as file:
        file.write(text)
    os.utime(sys.argv[1], (when, when))
    return list(load_dataset("json", data_files=sys.argv[1], split="train")["a"])

seen = [rows('{"a":1}\n', 10**9), rows('{"a":2}\n{"a":3}\n', 10**9), rows('{"a":2}\n{"a":3}\n', 10**9 + 1)]
print("first {}; other content, same time {}; other time {}".format(*seen))
if seen != [[1], [1], [2, 3]]:
    sys.exit("changed: the cache knows the content")
PY
