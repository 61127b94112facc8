#!/usr/bin/env bash
# Version: kfp 2.17.0
# Behaviour: of dsl.If((a == 1) and (b == 2)) the second comparison alone is compiled, of "or" the first alone, of 0 < a < 3 the part
#   a < 3. Nothing is said; "not (a == 1)" raises. Nested dsl.If are what "and" would mean.
# Why it surprises: libraries whose comparisons make expressions (pandas, polars, SQLAlchemy) raise where Python asks such an expression
#   whether it is true, for this very reason; here it is always true, and Python's "and" hands on its last operand.
# Who is bitten: gates of two bounds: `dsl.If((error < 1) and (bias < 1))` lets through whatever has a small bias, locally and on a
#   cluster.
# Seen: and: b == 2; or: a == 1; between: a < 3; for a = 9, b = 2 the branch of "and" runs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kfp==2.17.0 kfp-pipeline-spec==2.17.3 protobuf==6.33.6 kubernetes==30.1.0 setuptools==84.2.1
cat > "$work/show.py" <<'PY'
import re, sys
from pathlib import Path
from kfp import dsl, local

work = Path(sys.argv[1])
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(work / "root"))

@dsl.component(base_image="python:3.11")
def note(branch: str, where: str):
    import pathlib
    pathlib.Path(where, branch).touch()

@dsl.pipeline
def gated(a: int, b: int, where: str):
    with dsl.If((a == 1) and (b == 2), name="and"):
        note(branch="and", where=where)
    with dsl.If((a == 1) or (b == 2), name="or"):
        note(branch="or", where=where)
    with dsl.If(0 < a < 3, name="between"):
        note(branch="between", where=where)

tasks = gated.pipeline_spec.root.dag.tasks.values()
compiled = {task.task_info.name: re.sub(r"int\(inputs\.parameter_values\['pipelinechannel--(\w)'\]\)", r"\1", task.trigger_policy.condition) for task in tasks}
(work / "ran").mkdir()
gated(a=9, b=2, where=str(work / "ran"))  # raises if the run fails
ran = sorted(path.name for path in (work / "ran").iterdir())
print(f"compiled {compiled}; branches that ran for a = 9, b = 2: {ran}")
if compiled != {"and": "b == 2", "or": "a == 1", "between": "a < 3"} or ran != ["and"]:
    sys.exit("changed: other conditions")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
