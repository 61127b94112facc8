#!/usr/bin/env bash
# Version: pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0
# Behaviour: of a folder with a.parquet, .b.parquet and _c.parquet, pyarrow reads the first alone; DuckDB's *.parquet and
#   polars, given the folder or the pattern, read all three.
# Why it surprises: a shell's * leaves files with a dot out, and Spark, Hive and pyarrow leave out both kinds.
# Who is bitten: who writes a part as .part.parquet and renames it, or keeps a rejected part beside the others: rows twice.
# Seen: pyarrow ['a']; duckdb ['a', 'b', 'c']; polars ['a', 'b', 'c'] for the folder, and for its pattern.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0
mkdir "$work/t"
"$work/venv/bin/python" - "$work/t" <<'PY'
import sys
import duckdb, polars, pyarrow, pyarrow.parquet as pq

path = sys.argv[1]
for name in ("a", ".b", "_c"):
    pq.write_table(pyarrow.table({"n": [name[-1]]}), f"{path}/{name}.parquet")
seen = {
    "pyarrow": pq.read_table(path)["n"].to_pylist(),
    "duckdb": sorted(row[0] for row in duckdb.sql(f"select n from '{path}/*.parquet'").fetchall()),
    "polars": sorted(polars.read_parquet(path)["n"]),
    "polars, pattern": sorted(polars.read_parquet(f"{path}/*.parquet")["n"]),
}
print(seen)
if seen != {"pyarrow": ["a"], "duckdb": list("abc"), "polars": list("abc"), "polars, pattern": list("abc")}:
    sys.exit("changed: other files are read")
PY
