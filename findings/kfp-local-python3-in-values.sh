#!/usr/bin/env bash
# Version: kfp 2.17.0
# Behaviour: kfp.local.SubprocessRunner replaces "python3" by its interpreter's path in all of a task's command but the
#   source of the function, so in the values of parameters, too: "I like python3" arrives as "I like /…/bin/python".
# Why it surprises: the run succeeds, only the value is another; in a container the same pipeline gets the text as given.
# Who is bitten: texts and names with "python3" in them: image names, search terms, articles.
# Seen: given 'I like python3' -> received 'I like <interpreter>'; 'I like python 3' -> as given.
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

seen = [echo(text=text).output.replace(sys.executable, "<interpreter>") for text in ("I like python3", "I like python 3")]
print("received:", seen)
if seen != ["I like <interpreter>", "I like python 3"]:
    sys.exit("changed: values arrive otherwise")
PY
TMPDIR="$work" "$work/venv/bin/python" "$work/show.py" "$work/root" 2> "$work/log" | tail -1 || { tail -1 "$work/log" >&2; exit 1; }
