#!/usr/bin/env bash
# Version: json_repair 0.64.5
# Behaviour: of {"score": 1 200} it makes 1, of {"score": 10 - 3} 10, of {"score": 7,5} the text "7,5"; of two objects with
#   the same keys one after the other the second alone.
# Why it surprises: repair is thought of as closing brackets and quotes; here a number loses digits, and no flag tells.
# Who is bitten: who reads scores out of a model's reply: thousands with a blank, ranges, a corrected second answer.
# Seen: 1, 10, '7,5'; {"score": 2} {"score": 9} -> {'score': 9}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q json_repair==0.64.5
"$work/venv/bin/python" - <<'PY'
import sys
import json_repair

for text, wanted in (('{"score": 1 200}', 1), ('{"score": 10 - 3}', 10), ('{"score": 7,5}', "7,5"), ('{"score": 2} {"score": 9}', 9)):
    seen = json_repair.loads(text)
    print(f"{text} -> {seen}")
    if seen != {"score": wanted}:
        sys.exit(f"changed: expected {wanted!r}")
PY
