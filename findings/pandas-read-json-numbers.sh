#!/usr/bin/env bash
# Version: pandas 3.1.1, numpy 2.4.6
# Behaviour: read_json turns texts that look like numbers into numbers ("007" into 7, a long id into a rounded double, "NaN"
#   into a missing value), and reads a double of 17 digits to 15 of them. dtype=False and precise_float=True keep them.
# Why it surprises: JSON tells text from number, and to_json of the same library writes the texts in quotes.
# Who is bitten: ids in joins; scores that are compared, digested, or gated near a threshold.
# Seen: "007" -> 7; "12345678901234567890" -> 1.2345678901234567e+19; 0.12345678901234568 -> 0.12345678901234501.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pandas==3.1.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import io, json, sys
import pandas

row = {"id": "007", "long": "12345678901234567890", "score": 0.12345678901234568}

def read(**how):
    return list(pandas.read_json(io.StringIO(json.dumps(row)), lines=True, **how).to_dict("records")[0].values())

default, exact = read(), read(dtype=False, precise_float=True)
print("written", list(row.values()))
print("read   ", default)
print("exactly", exact)
if exact != list(row.values()) or default[:2] != [7, float(row["long"])] or default[2] == row["score"]:
    sys.exit("changed: values are read otherwise")
PY
