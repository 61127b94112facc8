#!/usr/bin/env bash
# Version: kfp 2.17.0
# Behaviour: in kfp.local a condition that compares a float with an integer is never true, and neither is its dsl.Else: both
#   branches are skipped, and the run succeeds. The compiler writes the integer as double(1), which the local runner doesn't
#   know; it logs a warning and takes the condition for false, negated or not. With 1.0 both do what they say.
# Why it surprises: of If and Else one runs, and what can't be evaluated is an error. On a cluster double(1) is CEL and works.
# Who is bitten: gates in pipelines that are tried locally first: `dsl.If(accuracy >= 1)` promotes nothing, and rejects nothing.
# Seen: with 1 [], with 1.0 ['if'] for 2.0 and ['else'] for 0.5; every run SUCCESS.
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

def ran(value, bound):
    where = work / f"{value}-{bound}"
    where.mkdir()

    @dsl.pipeline
    def gated(score: float, where: str):
        with dsl.If(score >= bound):
            note(branch="if", where=where)
        with dsl.Else():
            note(branch="else", where=where)

    gated(score=value, where=str(where))  # raises if the run fails
    return sorted(path.name for path in where.iterdir())

integers, doubles = ([ran(value, bound) for value in (2.0, 0.5)] for bound in (1, 1.0))
print(f"branches that ran for 2.0 and 0.5: score >= 1 {integers}, score >= 1.0 {doubles}")
if integers != [[], []] or doubles != [["if"], ["else"]]:
    sys.exit("changed: other branches ran")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
