#!/usr/bin/env bash
# Version: Python 3.11 (module site), setuptools 84.2.1 (for the editable install)
# Behaviour: a folder that a .pth file names is put on sys.path, but .pth files within that folder are not read; so a venv
#   that names another venv's site-packages sees its packages, but none that are installed there in editable mode.
# Why it surprises: for all ordinary packages the chain works, and the editable one is shown by pip list all the same.
# Who is bitten: venvs that borrow the packages of another (worktrees, layered images, user sites).
# Seen: ordinary package found, editable package ModuleNotFoundError; with site.addsitedir both found.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
python3 -m venv "$work/other"
"$work/venv/bin/pip" install -q setuptools==84.2.1
mkdir -p "$work/ordinary/ordinary" "$work/editable/editable"
for name in ordinary editable; do
  touch "$work/$name/$name/__init__.py"
  printf '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "%s"\nversion = "1"\n' "$name" > "$work/$name/pyproject.toml"
done
"$work/venv/bin/pip" install -q --no-build-isolation "$work/ordinary"
"$work/venv/bin/pip" install -q --no-build-isolation -e "$work/editable"
first=$("$work/venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')
second=$("$work/other/bin/python" -c 'import site; print(site.getsitepackages()[0])')
see() { "$work/other/bin/python" -c "import importlib.util as u; print(*(bool(u.find_spec(n)) for n in ('ordinary', 'editable')))"; }
echo "$first" > "$second/first.pth"
chained=$(see)
echo "import site; site.addsitedir('$first')" > "$second/first.pth"
added=$(see)
echo "found (ordinary, editable): named by a .pth: $chained; with site.addsitedir: $added"
[ "$chained" = "True False" ] || { echo "changed: .pth files are read along a chain" >&2; exit 1; }
[ "$added" = "True True" ] || { echo "changed: site.addsitedir reads no .pth files" >&2; exit 1; }
