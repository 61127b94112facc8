#!/usr/bin/env bash
# Version: openpyxl 3.1.5
# Behaviour: numbers are written with 16 digits: 0.1 + 0.2 comes back as 0.3, 12345678901234567 as 1.234567890123457e+16; a
#   time of 23:59:59.999999 comes back as the next day; the text "" as None.
# Why it surprises: the file holds decimal text, in which repr() would have kept every double; Excel shows 15 digits anyway.
# Who is bitten: who compares or digests scores and ids that went through a workbook.
# Seen: 0.3, 1.234567890123457e+16, 2020-01-02 00:00:00, None.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q openpyxl==3.1.5 et_xmlfile==2.0.0
"$work/venv/bin/python" - "$work/t.xlsx" <<'PY'
import datetime, sys
import openpyxl

book = openpyxl.Workbook()
given = [0.1 + 0.2, 12345678901234567, datetime.datetime(2020, 1, 1, 23, 59, 59, 999999), ""]
book.active.append(given)
book.save(sys.argv[1])
seen = [openpyxl.load_workbook(sys.argv[1]).active.cell(1, column).value for column in range(1, 5)]
for before, after in zip(given, seen):
    print(f"{before!r} -> {after!r}")
if seen != [0.3, 1.234567890123457e16, datetime.datetime(2020, 1, 2), None]:
    sys.exit("changed: values are written otherwise")
PY
