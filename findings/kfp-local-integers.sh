#!/usr/bin/env bash
# Version: kfp 2.17.0, protobuf 6.33.6
# Behaviour: kfp.local carries numbers as doubles: an int parameter of 2**53 + 1 arrives as 2**53, a list of ints as a list
#   of floats, and an int put into an f-string in a pipeline as "3.0".
# Why it surprises: the parameter's type is int, and the component that has it as its own parameter gets the int 3.
# Who is bitten: ids, seeds and byte counts as parameters; names and paths made of numbers.
# Seen: 9007199254740993 -> 9007199254740992; [1, 2] -> [1.0, 2.0]; f"part-{3}" -> part-3.0.
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
def number(n: int) -> str:
    return repr(n)

@dsl.component(base_image="python:3.11")
def numbers(n: list) -> str:
    return repr(n)

@dsl.component(base_image="python:3.11")
def text(n: str) -> str:
    return n

@dsl.pipeline
def named(n: int = 3) -> str:
    return text(n=f"part-{n}").output

seen = [number(n=3).output, number(n=2**53 + 1).output, numbers(n=[1, 2]).output, named().output]
print("received:", *seen)
if seen != ["3", "9007199254740992", "[1.0, 2.0]", "part-3.0"]:
    sys.exit("changed: numbers arrive otherwise")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work/root" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
