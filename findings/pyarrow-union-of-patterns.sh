#!/usr/bin/env bash
# Version: pyarrow 26.0.1
# Behaviour: match_substring_regex(texts, "a|b|…") of eight patterns with a gap such as [^.\n]{0,40} takes several times as long
#   as the eight searches one after the other, while a union of two is faster than its two. RE2 keeps the states of a search
#   in a fixed budget of memory; where they outgrow it, it throws them away and makes them anew. pyarrow has no option for it.
# Why it surprises: RE2 promises linear time, and one pass over the texts should cost less than eight. Nothing is said when the
#   budget is used up.
# Who is bitten: whoever joins a list of phrases into one pattern to search a column once.
# Seen: two patterns together 0.6 times as long as one by one; eight together 6.0 times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1
"$work/venv/bin/python" - <<'PY'
import random, sys, time
import pyarrow as pa, pyarrow.compute as pc

starts = "accept subscribe manage withdraw verify enable continue register".split()
ends = "cookies consent members settings browser partners reading account".split()
patterns = [rf"({a}|{a[:3]}|{a[-3:]})[^.\n]{{0,40}}({b}|{b[:4]}s|{b[-4:]})" for a, b in zip(starts, ends)]
rng = random.Random(1)
words = ["".join(rng.choices("aeiourstnlcmp", k=rng.randint(2, 9))) for _ in range(5_000)]
texts = pa.array([" ".join(rng.choices(words, k=200)) for _ in range(2_000)])


def seconds(some):
    began = time.process_time()
    for each in some:
        pc.match_substring_regex(texts, each, ignore_case=True)
    return time.process_time() - began


ratios = {}
for count in (2, 8):
    ratios[count] = seconds(["|".join(patterns[:count])]) / seconds(patterns[:count])
    print(f"{count} patterns: together {ratios[count]:.1f} times as long as one by one")
if not (ratios[2] < 1 and ratios[8] > 2):
    sys.exit("changed: a union of two was faster than its parts, one of eight several times as slow")
PY
