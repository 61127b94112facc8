#!/usr/bin/env bash
# Version: pyarrow 26.0.1; for comparison duckdb 2.0.1, polars 2.1.0
# Behaviour: read_table(filters=[("lang", "not in", ["en"])]) keeps rows whose lang is null; "!=" drops them.
# Why it surprises: "not in" one value and "!=" that value are the same question, and in SQL and in polars both drop nulls.
# Who is bitten: who extends a filter from one excluded value to a list: rows without a value come back.
# Seen: pyarrow != ['de'], not in [None, 'de']; duckdb ['de'] and ['de']; polars ['de'] and ['de'].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0
"$work/venv/bin/python" - "$work/t.parquet" <<'PY'
import sys
import duckdb, polars, pyarrow, pyarrow.parquet as pq

path = sys.argv[1]
pq.write_table(pyarrow.table({"lang": ["en", None, "de"]}), path)
lang = polars.col("lang")
seen = {
    "pyarrow": [pq.read_table(path, filters=[("lang", how, what)])["lang"].to_pylist() for how, what in (("!=", "en"), ("not in", ["en"]))],
    "duckdb": [[row[0] for row in duckdb.sql(f"select lang from '{path}' where lang {how}").fetchall()] for how in ("!= 'en'", "not in ('en')")],
    "polars": [polars.scan_parquet(path).filter(how).collect()["lang"].to_list() for how in (lang != "en", ~lang.is_in(["en"]))],
}
for name, (differs, not_in) in seen.items():
    print(f"{name}: != {differs}, not in {not_in}")
if seen != {"pyarrow": [["de"], [None, "de"]], "duckdb": [["de"], ["de"]], "polars": [["de"], ["de"]]}:
    sys.exit("changed: nulls are treated otherwise")
PY
