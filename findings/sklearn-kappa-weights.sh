#!/usr/bin/env bash
# Version: scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1
# Behaviour: cohen_kappa_score(weights="quadratic") weighs by the ranks of the values that occur, not by the values: on a
#   scale of 1 to 10 where only 1, 2 and 10 occur, from 2 to 10 is one step. labels=range(1, 11) makes it the usual figure.
# Why it surprises: the same marks give another kappa when one more mark, equal in both lists, brings in a value between.
# Who is bitten: agreement of judges on a scale of which a sample uses a part; figures of two samples do not compare.
# Seen: values 1, 2, 10: 0.800 without labels, 0.484 with; kappa of two who agree on one value throughout: nan.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" -W ignore - <<'PY'
import math, sys
from sklearn.metrics import cohen_kappa_score

first, second = [1, 2, 10], [1, 10, 10]
ranks = cohen_kappa_score(first, second, weights="quadratic")
values = cohen_kappa_score(first, second, weights="quadratic", labels=list(range(1, 11)))
agreed = cohen_kappa_score([3, 3, 3], [3, 3, 3], weights="quadratic")
print(f"values 1, 2, 10: {ranks:.3f} without labels, {values:.3f} with; all agreed: {agreed}")
if (round(ranks, 3), round(values, 3)) != (0.8, 0.484) or not math.isnan(agreed):
    sys.exit("changed: weights are by value now, or full agreement has a kappa")
PY
