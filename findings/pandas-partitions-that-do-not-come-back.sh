#!/usr/bin/env bash
# Version: pandas 3.1.1, pyarrow 26.0.1, numpy 2.4.6
# Behaviour: pandas.read_parquet cannot read what DataFrame.to_parquet(partition_cols=…) wrote, where a partition has no
#   value, or where two values are one number ("1" and "01"). pyarrow's read_table reads the folder; its to_pandas() raises.
# Why it surprises: writing raises nothing and loses nothing; the types of partitions are guessed from the folders' names at
#   reading.
# Who is bitten: tables by language, source or day, as soon as one row has none.
# Seen: ["de", None]: ArrowInvalid, with read_table ['de', None]; ["01", "1"]: ValueError, with read_table [1, 1].
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY'
import sys
import pandas, pyarrow.parquet as pq

def attempt(read):
    try:
        return read()
    except Exception as error:
        return type(error).__name__

seen = []
for number, values in enumerate((["de", "en"], ["de", None], ["01", "1"])):
    path = f"{sys.argv[1]}/{number}"
    pandas.DataFrame({"x": [1, 2], "part": values}).to_parquet(path, partition_cols=["part"])
    rows = sorted(pq.read_table(path).to_pylist(), key=lambda row: row["x"])
    seen.append((attempt(lambda: len(pandas.read_parquet(path))), [row["part"] for row in rows]))
    print(f"{values}: pandas {seen[-1][0]}, read_table {seen[-1][1]}")
if seen != [(2, ["de", "en"]), ("ArrowInvalid", ["de", None]), ("ValueError", [1, 1])]:
    sys.exit("changed: partitions come back otherwise")
PY
