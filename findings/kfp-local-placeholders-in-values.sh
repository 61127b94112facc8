#!/usr/bin/env bash
# Version: kfp 2.17.0
# Behaviour: kfp.local resolves placeholders in the values of parameters: a text with {{$.pipeline_task_name}} in it arrives
#   with the task's name in its place, and "{{$}}" as the whole input of the executor, paths of the machine included.
# Why it surprises: placeholders are written by the compiler; a value that a user gives is data, and is passed as JSON.
# Who is bitten: texts about templates and pipelines; documentation as articles.
# Seen: 'say {{$.pipeline_task_name}}' -> 'say echo'; '{{$}}' -> a JSON document; '{{other}}' -> as given.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kfp==2.17.0 kfp-pipeline-spec==2.17.3 protobuf==6.33.6 kubernetes==30.1.0 setuptools==84.2.1
cat > "$work/show.py" <<'PY'
import sys
from kfp import dsl, local

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])

@dsl.component(base_image="python:3.11")
def echo(text: str) -> str:
    return text

named, whole, other = (echo(text=text).output for text in ("say {{$.pipeline_task_name}}", "{{$}}", "{{other}}"))
print(f"received: {named!r}, {whole[:12]!r}…, {other!r}")
if (named, other) != ("say echo", "{{other}}") or not whole.startswith('{"inputs": {'):
    sys.exit("changed: values arrive otherwise")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work/root" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
