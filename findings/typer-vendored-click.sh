#!/usr/bin/env bash
# Version: typer 0.29.2, click 8.5.1 (which typer no longer needs)
# Behaviour: typer has a copy of click within. In a typer command, click.UsageError and click.exceptions.Exit(3) end as
#   tracebacks with exit code 1, and click.get_current_context() finds nothing; typer's own BadParameter works.
# Why it surprises: typer was click for years, and both import side by side without a word.
# Who is bitten: commands and libraries that raise click's errors or ask click for its context: usage errors exit 1, not 2.
# Seen: typer.BadParameter 2, click.BadParameter 1, typer.Exit(3) 3, click Exit(3) 1, click context None.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q typer==0.29.2 click==8.5.1
cat > "$work/show.py" <<'PY'
import sys
import click, typer

def main(which: str):
    if which == "context":
        sys.exit(0 if click.get_current_context(silent=True) is None else 9)
    raise {"typer": typer.BadParameter("no"), "click": click.BadParameter("no"), "exit": typer.Exit(3), "click exit": click.exceptions.Exit(3)}[which]

typer.run(main)
PY
seen=""
for which in typer click exit "click exit" context; do
  code=0
  "$work/venv/bin/python" "$work/show.py" "$which" > "$work/out" 2>&1 || code=$?
  echo "$which: exit code $code"
  seen="$seen $code"
done
[ "$seen" = " 2 1 3 1 0" ] || { echo "changed: expected 2 1 3 1 0" >&2; exit 1; }
