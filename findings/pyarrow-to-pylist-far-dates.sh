#!/usr/bin/env bash
# Version: pyarrow 26.0.1, without pandas and with pandas 3.1.1
# Behaviour: to_pylist() of a batch raises OverflowError because one of its dates lies past the year 9999, and, without
#   pandas, ValueError because one timestamp has nanoseconds; with pandas installed the second gives pandas.Timestamp.
# Why it surprises: reading, filtering and writing such a file works, one cell loses all rows of its batch, and the type of
#   the same cell depends on a package that the program never imports.
# Who is bitten: readers of tables row by row; "valid until 9999-12-31 24:00" and Spark's nanosecond columns are ordinary.
# Seen: without pandas: OverflowError, ValueError; with pandas: OverflowError, Timestamp.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
cat > "$work/show.py" <<'PY'
import pyarrow as pa

def kind(column):
    try:
        return type(pa.record_batch({"id": ["a", "b"], "at": column}).to_pylist()[1]["at"]).__name__
    except Exception as error:
        return type(error).__name__

print(kind(pa.array([0, 253402300800], pa.timestamp("s"))), kind(pa.array([0, 1], pa.timestamp("ns"))))
PY
"$work/venv/bin/pip" install -q pyarrow==26.0.1
without=$("$work/venv/bin/python" "$work/show.py")
"$work/venv/bin/pip" install -q pandas==3.1.1 numpy==2.4.6
with=$("$work/venv/bin/python" "$work/show.py")
echo "without pandas: $without; with pandas: $with"
[ "$without" = "OverflowError ValueError" ] || { echo "changed: without pandas" >&2; exit 1; }
[ "$with" = "OverflowError Timestamp" ] || { echo "changed: with pandas" >&2; exit 1; }
