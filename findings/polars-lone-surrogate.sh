#!/usr/bin/env bash
# Version: polars 2.1.0; for comparison pyarrow 26.0.1, duckdb 2.0.1
# Behaviour: polars.read_ndjson reads the escape of half a surrogate pair, as in "ab\ud83d", as a NUL character.
# Why it surprises: Python's json keeps it, pyarrow and DuckDB raise, others write U+FFFD; a NUL is valid text that nobody
#   wrote.
# Who is bitten: texts that were cut in the middle of an emoji before they were written as JSON.
# Seen: polars 'ab\x00'; pyarrow ArrowInvalid; duckdb InvalidInputException.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1
"$work/venv/bin/python" - "$work/t.jsonl" <<'PY'
import json, sys
import duckdb, polars, pyarrow.json

path = sys.argv[1]
with open(path, "w") as file:
    file.write(json.dumps({"text": "ab😀".encode("utf-16-le", "surrogatepass")[:-2].decode("utf-16-le", "surrogatepass")}) + "\n")

def attempt(read):
    try:
        return read()
    except Exception as error:
        return type(error).__name__

seen = [
    attempt(lambda: polars.read_ndjson(path)["text"][0]),
    attempt(lambda: pyarrow.json.read_json(path)["text"][0].as_py()),
    attempt(lambda: duckdb.sql(f"select text from read_json('{path}')").fetchall()[0][0]),
]
print("polars, pyarrow, duckdb:", *map(repr, seen))
if seen != ["ab\0", "ArrowInvalid", "InvalidInputException"]:
    sys.exit("changed: half a pair is read otherwise")
PY
