#!/usr/bin/env bash
# Version: PyYAML 6.0.3, ruamel.yaml 0.19.1
# Behaviour: PyYAML writes the texts "12e3", "08" and "0o17" without quotes, since in its YAML 1.1 they are no numbers; a
#   reader of YAML 1.2 reads 12000.0, 8 and 15. The other way, PyYAML reads JSON's 1e-05 as text.
# Why it surprises: "PyYAML quotes what looks like a number" holds for most texts, and JSON is said to be YAML.
# Who is bitten: labels, tags and short hashes in generated manifests (of commit hashes cut to seven characters, one in 54
#   is digits with one e in the middle); settings written as JSON and read as YAML.
# Seen: written key: 12e3, 08, 0o17; YAML 1.2 reads 12000.0, 8, 15; PyYAML reads '{"rate": 1e-05}' as {'rate': '1e-05'}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q PyYAML==6.0.3 ruamel.yaml==0.19.1
"$work/venv/bin/python" - <<'PY'
import json, sys
import ruamel.yaml, yaml

for text, number in (("12e3", 12000.0), ("08", 8), ("0o17", 15)):
    written = yaml.safe_dump({"key": text})
    seen = ruamel.yaml.YAML(typ="safe", pure=True).load(written)["key"]
    print(f"{text!r} is written {written.strip()!r}, which YAML 1.2 reads as {seen!r}")
    if "'" in written or seen != number or yaml.safe_load(written)["key"] != text:
        sys.exit("changed: texts are quoted, or read as texts")
rate = yaml.safe_load(json.dumps({"rate": 0.00001}))["rate"]
print(f"json.dumps(0.00001) is read by PyYAML as {rate!r}")
if rate != "1e-05":
    sys.exit("changed: JSON's numbers are numbers")
PY
