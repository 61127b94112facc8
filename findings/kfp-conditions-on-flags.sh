#!/usr/bin/env bash
# Version: kfp 2.17.0
# Behaviour: a condition that compares a bool with 0 or 1 is compiled the wrong way round: dsl.If(flag == 1) becomes "flag == false",
#   dsl.If(flag == 0) "flag == true". With True and False it is compiled as written.
# Why it surprises: in Python True == 1, and compiling says nothing. Each condition is a valid one, so both the local runner and a
#   cluster take the other branch.
# Who is bitten: a component that returned 0 or 1 as int and now returns bool: where `dsl.If(passed == 1)` promoted what passed, it
#   promotes what failed.
# Seen: True, 1, 0, False become true, false, true, false; with 1 the branch "if" runs for False, "else" for True.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kfp==2.17.0 kfp-pipeline-spec==2.17.3 protobuf==6.33.6 kubernetes==30.1.0 setuptools==84.2.1
cat > "$work/show.py" <<'PY'
import sys
from pathlib import Path
from kfp import dsl, local

work = Path(sys.argv[1])
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(work / "root"))

@dsl.component(base_image="python:3.11")
def note(branch: str, where: str):
    import pathlib
    pathlib.Path(where, branch).touch()

def of(bound):
    @dsl.pipeline
    def gated(passed: bool, where: str):
        with dsl.If(passed == bound):
            note(branch="if", where=where)
        with dsl.Else():
            note(branch="else", where=where)

    (branches,) = (task for name, task in gated.pipeline_spec.components.items() if name.startswith("comp-condition-branches"))
    conditions = [task.trigger_policy.condition for task in branches.dag.tasks.values()]
    first = next(text for text in conditions if not text.startswith("!"))
    ran = []
    for value in (True, False):
        where = work / f"{bound!r}-{value}"
        where.mkdir()
        gated(passed=value, where=str(where))  # raises if the run fails
        ran += sorted(path.name for path in where.iterdir())
    return first.rsplit(" ", 1)[-1], ran

found = {repr(bound): of(bound) for bound in (True, 1, 0, False)}
print("compared with, as compiled, branches for True and False:", found)
right, wrong = ("true", ["if", "else"]), ("false", ["else", "if"])
if found != {"True": right, "1": wrong, "0": right, "False": wrong}:
    sys.exit("changed: other conditions")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
