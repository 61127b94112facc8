#!/usr/bin/env bash
# Version: pyarrow 26.0.1
# Behaviour: RecordBatch.nbytes of a slice counts the whole dictionary of a dictionary-encoded column.
# Why it surprises: nbytes is documented to count the bytes "referenced", and for plain columns a slice is counted by its
#   own length, so the sum over the slices of a table is the size of the table.
# Who is bitten: who cuts batches to a byte budget (queues, uploads, memory limits): categories make every row look huge.
# Seen: plain column: whole 104,000, sum of 200 slices 104,000; dictionary column: whole 108,000, sum of slices 20,804,000.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import sys
import pyarrow as pa

texts = pa.array([f"{i:0100d}" for i in range(1000)])
totals = {}
for name, column in (("plain", texts), ("dictionary", texts.dictionary_encode())):
    batch = pa.record_batch({"text": column})
    totals[name] = batch.nbytes, sum(batch.slice(i, 5).nbytes for i in range(0, 1000, 5))
    print(f"{name} column: whole {totals[name][0]:,}, sum of 200 slices {totals[name][1]:,}")
if not totals["plain"][1] < 1.1 * totals["plain"][0]:
    sys.exit("changed: slices of a plain column are no longer counted by their length")
if not totals["dictionary"][1] > 100 * totals["dictionary"][0]:
    sys.exit("changed: slices no longer count the whole dictionary")
PY
