#!/usr/bin/env bash
# Version: pydantic 2.14.3, pydantic_core 2.50.4
# Behaviour: model_validate_json refuses what model_validate(json.loads(…)) takes: brackets nested more than 201 deep, and
#   the escape of half a surrogate pair. What was taken, model_dump_json then cannot write; a key of dict[str, int] becomes
#   three U+FFFD.
# Why it surprises: the documentation recommends the first in place of the second, for speed alone.
# Who is bitten: who changes to model_validate_json for speed: documents that were stored before no longer read.
# Seen: 202 deep: loads ok, json ValidationError; "\ud83d": loads ok, json ValidationError; dump: value
#   PydanticSerializationError, key {"counts":{"���":1}}.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pydantic==2.14.3 pydantic_core==2.50.4
"$work/venv/bin/python" - <<'PY'
import json, sys
from typing import Any
import pydantic

class Document(pydantic.BaseModel):
    x: Any = None
    counts: dict[str, int] = {}

def attempt(read):
    try:
        return read() and "ok"
    except Exception as error:
        return type(error).__name__

seen = []
for name, text in (("199 deep", '{"x":' + "[" * 199 + "]" * 199 + "}"), ("202 deep", '{"x":' + "[" * 201 + "]" * 201 + "}"), ("half a pair", '{"x":"\\ud83d"}')):
    seen += [attempt(lambda: Document.model_validate(json.loads(text))), attempt(lambda: Document.model_validate_json(text))]
    print(f"{name}: loads {seen[-2]}, json {seen[-1]}")
value = attempt(lambda: Document(x="\ud83d").model_dump_json())
key = Document(counts={"\ud83d": 1}).model_dump_json(include={"counts"})
print(f"dump: value {value}, key {key}")
if seen != ["ok", "ok", "ok", "ValidationError", "ok", "ValidationError"]:
    sys.exit("changed: both read alike")
if value != "PydanticSerializationError" or key != '{"counts":{"���":1}}':
    sys.exit("changed: half a pair is written otherwise")
PY
