#!/usr/bin/env bash
# Version: scikit-learn 1.9.1, numpy 2.4.6, scipy 1.17.1
# Behaviour: GroupShuffleSplit(test_size=0.2) puts a fifth of the groups into the test part, not a fifth of the rows;
#   train_test_split, with the same word, a fifth of the rows.
# Why it surprises: groups (sources, authors) have very different sizes, so the test part of one seed is 3% and of another
#   92%.
# Who is bitten: splits that keep near duplicates or sources together.
# Seen: 100 rows, one group of 90 and ten of one: sizes of the test part over 20 seeds: 3 to 92, never 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - <<'PY'
import sys
from sklearn.model_selection import GroupShuffleSplit

groups = [0] * 90 + list(range(1, 11))
sizes = sorted({len(next(GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(groups, groups=groups))[1]) for seed in range(20)})
print(f"rows in the test part over 20 seeds: {sizes}")
if sizes != [3, 92]:
    sys.exit("changed: the part is chosen by rows")
PY
