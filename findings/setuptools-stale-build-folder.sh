#!/usr/bin/env bash
# Version: setuptools 84.2.1
# Behaviour: building a wheel in a folder leaves build/ there, and the next wheel holds every module that still lies in it,
#   though the source was renamed or deleted.
# Why it surprises: "pip wheel ." runs in an isolated environment from declared sources; isolated is the environment, not
#   the folder, and neither pip nor setuptools says a word.
# Who is bitten: projects that move modules: the deleted name can still be imported from the wheel, so no test on it fails.
# Seen: the second wheel holds pkg/__init__.py pkg/new.py pkg/old.py; without build/ it holds pkg/__init__.py pkg/new.py.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q setuptools==84.2.1
mkdir -p "$work/src/pkg"
cd "$work/src"
touch pkg/__init__.py pkg/old.py
printf '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "pkg"\nversion = "1"\n[tool.setuptools]\npackages = ["pkg"]\n' > pyproject.toml
modules() {
  rm -rf "$work/out"
  "$work/venv/bin/pip" wheel -q --no-build-isolation --no-deps -w "$work/out" . >&2
  "$work/venv/bin/python" -c 'import sys, zipfile; print(*sorted(n for n in zipfile.ZipFile(sys.argv[1]).namelist() if n.endswith(".py")))' "$work"/out/*.whl
}
modules > /dev/null
mv pkg/old.py pkg/new.py
second=$(modules)
rm -rf build
clean=$(modules)
echo "second wheel: $second; without build/: $clean"
[ "$second" = "pkg/__init__.py pkg/new.py pkg/old.py" ] || { echo "changed: no stale module" >&2; exit 1; }
[ "$clean" = "pkg/__init__.py pkg/new.py" ] || { echo "changed: stale without build/, too" >&2; exit 1; }
