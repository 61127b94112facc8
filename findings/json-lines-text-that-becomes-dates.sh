#!/usr/bin/env bash
# Version: pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0
# Behaviour: the text "2020-01-01" in JSON becomes a timestamp in pyarrow and a date in DuckDB, which makes UUIDs and times
#   of their texts, too; pyarrow makes a double of an integer past 64 bits, so its last digits are lost.
# Why it surprises: JSON has types of its own: text in quotes is text, and Python's json keeps both as written.
# Who is bitten: joins and files named by id: an id that is a day, a UUID or a long number is another id afterwards.
# Seen: pyarrow datetime.datetime(2020, 1, 1, 0, 0), '00000000-...', 1.2345678901234567e+19; duckdb datetime.date(2020, 1,
#   1), UUID('00000000-...'), 12345678901234567890; polars leaves all three as they are.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0
"$work/venv/bin/python" - "$work/t.jsonl" <<'PY'
import datetime, json, sys, uuid
import duckdb, polars, pyarrow.json

path = sys.argv[1]
row = {"day": "2020-01-01", "id": "00000000-0000-0000-0000-000000000001", "long": 12345678901234567890}
with open(path, "w") as file:
    file.write(json.dumps(row) + "\n")
seen = {
    "pyarrow": list(pyarrow.json.read_json(path).to_pylist()[0].values()),
    "duckdb": list(duckdb.sql(f"select * from read_json('{path}')").fetchall()[0]),
    "polars": list(polars.read_ndjson(path).row(0)),
}
for name, values in seen.items():
    print(name, values)
wanted = {
    "pyarrow": [datetime.datetime(2020, 1, 1), row["id"], float(row["long"])],
    "duckdb": [datetime.date(2020, 1, 1), uuid.UUID(row["id"]), row["long"]],
    "polars": list(row.values()),
}
if repr(seen) != repr(wanted):
    sys.exit("changed: values have other types")
PY
