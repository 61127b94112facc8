#!/usr/bin/env bash
# Version: pydantic 2.14.3, pydantic_core 2.50.4
# Behaviour: a datetime field takes the text "20200101" or "2020" as seconds since 1970, and any number past 20,000,000,000
#   as milliseconds: one second later is half a millennium earlier.
# Why it surprises: 20200101 is a date of ISO 8601 that Python's own datetime.fromisoformat reads as such; no error is
#   raised.
# Who is bitten: feeds with compact dates, or with a year alone: all of them lie in 1970. Far expiry times turn round.
# Seen: '20200101' -> 1970-08-22, '2020' -> 1970-01-01, 20000000000 -> 2603-10-11, 20000000001 -> 1970-08-20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pydantic==2.14.3 pydantic_core==2.50.4
"$work/venv/bin/python" - <<'PY'
import datetime, sys
import pydantic

read = pydantic.TypeAdapter(datetime.datetime).validate_python
for given, day in (("2020-01-01", "2020-01-01"), ("20200101", "1970-08-22"), ("2020", "1970-01-01"), (20_000_000_000, "2603-10-11"), (20_000_000_001, "1970-08-20")):
    seen = read(given).date().isoformat()
    print(f"{given!r} -> {seen}")
    if seen != day:
        sys.exit(f"changed: expected {day}")
PY
