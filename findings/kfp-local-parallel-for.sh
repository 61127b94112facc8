#!/usr/bin/env bash
# Version: kfp 2.17.0, protobuf 6.33.6
# Behaviour: In a dsl.ParallelFor, kfp.local replaces every output of another task by the loop's item, and goes only through
#   a list that is a task's single output (or one that is named "Output").
# Why it surprises: the compiled graph is right, and a cluster runs it as it is written; locally the tasks of the loop get a
#   wrong value of the right type, and nothing is said.
# Who is bitten: loops whose tasks get, beside the item, a key, an address or a model's name from an earlier task.
# Seen: join("run-7", "a") is called as join("a", "a"); a list that is the output "found" of two ends the run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kfp==2.17.0 kfp-pipeline-spec==2.17.3 protobuf==6.33.6 kubernetes==30.1.0 setuptools==84.2.1
cat > "$work/show.py" <<'PY'
import sys
from typing import NamedTuple
from kfp import dsl, local

local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=False)

@dsl.component(base_image="python:3.11")
def key() -> str:
    return "run-7"

@dsl.component(base_image="python:3.11")
def single() -> list:
    return ["a", "b"]

@dsl.component(base_image="python:3.11")
def several() -> NamedTuple("Several", [("found", list), ("count", int)]):
    from collections import namedtuple
    return namedtuple("Several", ["found", "count"])(["a", "b"], 2)

@dsl.component(base_image="python:3.11")
def join(key: str, item: str) -> str:
    return f"{key}/{item}"

@dsl.component(base_image="python:3.11")
def all_of(joined: list) -> str:
    return " ".join(joined)

@dsl.pipeline
def over_one() -> str:
    made = key()
    with dsl.ParallelFor(single().output) as item:
        each = join(key=made.output, item=item)
    return all_of(joined=dsl.Collected(each.output)).output

@dsl.pipeline
def over_named() -> str:
    with dsl.ParallelFor(several().outputs["found"]) as item:
        each = join(key="run-7", item=item)
    return all_of(joined=dsl.Collected(each.output)).output

def outcome(pipeline):
    try:
        return getattr(pipeline(), "output", None) or "ended"
    except Exception as error:
        return f"ended: {type(error).__name__}"

seen = [outcome(over_one), outcome(over_named)]
print("joined:", seen[0], "| a named list:", seen[1])
if seen[0] != "a/a b/b" or not seen[1].startswith("ended"):
    sys.exit("changed: a loop's tasks get what the graph says")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work/root" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
