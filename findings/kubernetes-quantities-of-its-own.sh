#!/usr/bin/env bash
# Version: kubernetes 30.1.0
# Behaviour: kubernetes.utils.parse_quantity takes what Kubernetes refuses as a quantity: "NaN", "Infinity", "1_000", "1K" for
#   1000, "1mi" for 1/1024, "1E3M", and returns a Decimal.
# Why it surprises: it is the client's own parser of the API's format, and the API server takes none of these (a number, then
#   one of n u m k M G T P E, Ki Mi Gi Ti Pi Ei, or a decimal exponent).
# Who is bitten: settings and custom resources that are checked with it before they are sent. Decimal raises where NaN is
#   compared, and Infinity passes every lower bound.
# Seen: the values below, and InvalidOperation for parse_quantity("NaN") > 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q kubernetes==30.1.0
"$work/venv/bin/python" - <<'PY'
import sys
from decimal import InvalidOperation
from kubernetes.utils import parse_quantity

EXPECTED = {"NaN": "NaN", "Infinity": "Infinity", "1_000": "1000", "1K": "1000", "1mi": "0.0009765625", "1E3M": "1.000000E+9"}
found = {text: str(parse_quantity(text)) for text in EXPECTED}
try:
    compared = str(parse_quantity("NaN") > 1)
except InvalidOperation:
    compared = "InvalidOperation"
print(found, compared)
if found != EXPECTED or compared != "InvalidOperation":
    sys.exit("changed: other values")
PY
