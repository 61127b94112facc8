#!/usr/bin/env bash
# Version: pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0
# Behaviour: where the first file of a folder has whole numbers and the next has fractions, DuckDB rounds the fractions (2.5
#   becomes 2, 3.5 becomes 4); where the next has one more column, pyarrow and DuckDB leave it out. Neither says so.
# Why it surprises: pyarrow raises for the fractions and polars for both, so one is used to an error; and the result depends
#   on which name sorts first.
# Who is bitten: folders that several workers wrote: one whose scores are all 3, 4, 5, or one with no error column.
# Seen: fractions: duckdb [1, 2, 4], pyarrow ArrowInvalid, polars SchemaError; more columns: duckdb ['a'], pyarrow ['a'],
#   polars SchemaError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0
"$work/venv/bin/python" - "$work" <<'PY'
import os, sys
import duckdb, polars, pyarrow, pyarrow.parquet as pq

def attempt(read):
    try:
        return read()
    except Exception as error:
        return type(error).__name__

def folder(name, *tables):
    path = f"{sys.argv[1]}/{name}"
    os.mkdir(path)
    for number, table in enumerate(tables):
        pq.write_table(pyarrow.table(table), f"{path}/{number}.parquet")
    return path

path = folder("fractions", {"a": [1]}, {"a": [2.5, 3.5]})
fractions = [
    attempt(lambda: [row[0] for row in duckdb.sql(f"select a from '{path}/*.parquet' order by a").fetchall()]),
    attempt(lambda: pq.read_table(path)["a"].to_pylist()),
    attempt(lambda: polars.read_parquet(path)["a"].to_list()),
]
path = folder("columns", {"a": [1]}, {"a": [2], "b": ["x"]})
columns = [
    attempt(lambda: duckdb.sql(f"select * from '{path}/*.parquet'").columns),
    attempt(lambda: pq.read_table(path).column_names),
    attempt(lambda: polars.read_parquet(path).columns),
]
print("duckdb, pyarrow, polars: fractions", *fractions)
print("duckdb, pyarrow, polars: more columns", *columns)
if fractions != [[1, 2, 4], "ArrowInvalid", "SchemaError"] or columns != [["a"], ["a"], "SchemaError"]:
    sys.exit("changed: files that differ are read otherwise")
PY
