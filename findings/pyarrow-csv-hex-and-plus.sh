#!/usr/bin/env bash
# Version: pyarrow 26.0.1; for comparison polars 2.1.0
# Behaviour: pyarrow.csv reads 0x1f in a column as the integer 31, but +2 makes an integer column doubles; NA is null in a
#   column of numbers and the text "NA" in a column of words.
# Why it surprises: what one cell becomes depends on the other cells, and the two notations for integers are treated the
#   other way round than in most readers.
# Who is bitten: columns of ids: short hexadecimal hashes become numbers, country code NA vanishes or stays.
# Seen: ['0x10', '0x1f'] -> [16, 31]; ['1', '+2'] -> [1.0, 2.0]; ['NA', '1'] -> [None, 1]; ['NA', 'DE'] -> ['NA', 'DE'];
#   polars leaves the first three columns as text.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 polars==2.1.0
"$work/venv/bin/python" - <<'PY'
import io, sys
import polars, pyarrow.csv

for cells, arrow, pola in (
    (["0x10", "0x1f"], [16, 31], ["0x10", "0x1f"]),
    (["1", "+2"], [1.0, 2.0], ["1", "+2"]),
    (["NA", "1"], [None, 1], ["NA", "1"]),
    (["NA", "DE"], ["NA", "DE"], ["NA", "DE"]),
):
    text = "\n".join(["id,x", *(f"{cell},1" for cell in cells), ""]).encode()
    seen = pyarrow.csv.read_csv(io.BytesIO(text))["id"].to_pylist()
    other = polars.read_csv(text)["id"].to_list()
    print(f"{cells} -> pyarrow {seen}, polars {other}")
    if repr(seen) != repr(arrow) or other != pola:
        sys.exit(f"changed: expected pyarrow {arrow}, polars {pola}")
PY
