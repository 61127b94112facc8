#!/usr/bin/env bash
# Version: pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0
# Behaviour: a gzip file that is followed by zero bytes is read by gzip(1) and by Python's gzip; pyarrow, DuckDB and polars
#   refuse it, though all of them read a file of several members.
# Why it surprises: files that come from tapes and block devices are padded so, and `gzip -t` says that they are fine.
# Who is bitten: who checks an upload with gzip -t or Python and then scans it with a table engine.
# Seen: rows of two members 2 by all four; of one member and padding: python 1, pyarrow OSError, duckdb IOException,
#   polars ComputeError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0
"$work/venv/bin/python" - "$work" <<'PY'
import gzip, sys
import duckdb, polars, pyarrow

def attempt(read):
    try:
        return read()
    except Exception as error:
        return type(error).__name__

def rows(name, data):
    path = f"{sys.argv[1]}/{name}.jsonl.gz"
    with open(path, "wb") as file:
        file.write(data)
    return [
        attempt(lambda: gzip.open(path).read().count(b"\n")),
        attempt(lambda: pyarrow.input_stream(path).read().count(b"\n")),
        attempt(lambda: len(duckdb.sql(f"select * from read_json('{path}')").fetchall())),
        attempt(lambda: len(polars.read_ndjson(path))),
    ]

member = gzip.compress(b'{"a":1}\n')
two, padded = rows("two", member * 2), rows("padded", member + bytes(512))
print("rows by python, pyarrow, duckdb, polars: two members", *two)
print("rows by python, pyarrow, duckdb, polars: one member and padding", *padded)
if two != [2, 2, 2, 2] or padded != [1, "OSError", "IOException", "ComputeError"]:
    sys.exit("changed: members or padding are read otherwise")
PY
