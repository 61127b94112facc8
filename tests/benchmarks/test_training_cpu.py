"""How many articles one CPU thread trains on in a second of its time: transformers' Trainer, an earlier build, ours, in turn.

    DISTILLERY_BEFORE=a9921a4 pytest -s -m slow tests/benchmarks/test_training_cpu.py

The demo's articles with scores that their texts decide; all-MiniLM-L6-v2, 256 tokens, one epoch, all that the step does:
tokens, the head by ridge regression, the epoch, validation, the bundle. DISTILLERY_BENCH_ARTICLES and _ROUNDS make it longer.
It prints medians, ratios, and the share of the machine's own GEMM rate that the epoch reaches.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from distillery.components.student.devices import native_bf16
from distillery.components.student.memory import body_in, multiplied
from distillery.components.student.resolve import resolve_base
from tests.benchmarks.score_loop import BASE, DIMENSIONS
from tests.benchmarks.test_scoring_cpu import BEFORE, RATE, ROOT, Contender, installed

LOOP = Path(__file__).with_name("train_loop.py")
ARTICLES, ROUNDS = int(os.environ.get("DISTILLERY_BENCH_ARTICLES", "400")), int(os.environ.get("DISTILLERY_BENCH_ROUNDS", "3"))
# Times the earlier build, with native bf16 or without, at a MAE that is at most so much worse.
FASTER, WORSE = {True: 1.45, False: 0.9}, 0.01


def labels_of(file: Path) -> Path:
    """Write articles with scores that their texts decide: the share of words that begin with each of eight letters."""
    with gzip.open(ROOT / "components/demo/articles.jsonl.gz", "rt", encoding="utf-8") as rows, file.open("w") as out:
        for row, _ in zip(rows, range(ARTICLES), strict=False):
            article = json.loads(row)
            words = article["content"].lower().split()
            shares = [sum(word.startswith(letter) for word in words) / len(words) for letter in "abcdefgh"]
            scores = {f"d{n}": round(min(10.0, 60 * share), 1) for n, share in enumerate(shares)}
            assert len(scores) == DIMENSIONS
            line = {"id": article["id"], "title": article.get("title", ""), "content": article["content"], "scores": scores}
            out.write(json.dumps(line) + "\n")
    return file


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_training_beside_the_trainer_and_an_earlier_build(tmp_path: Path) -> None:
    before, labels, native = installed(BEFORE, tmp_path), labels_of(tmp_path / "labels.jsonl"), native_bf16()
    contenders = {
        "Trainer and peft, fp32": ["trainer", "fp32"],
        "Trainer and peft, bf16": ["trainer", "bf16"] if native else [],
        f"build {BEFORE}": ["before"] if before else [],
        "ours": ["ours"],
    }
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as stack:
        playing = [
            Contender(name, how, before if how == ["before"] else None, loop=LOOP) for name, how in contenders.items() if how
        ]
        for each in playing:
            stack.enter_context(each.process)
        for turn in range(ROUNDS):
            for number, each in enumerate(playing):
                told[each.name].append(each.ask(labels, tmp_path / f"{turn}-{number}", begins='{"'))
        for each in playing:
            each.process.stdin.close()  # type: ignore[union-attr]
    gemm = subprocess.run(
        [sys.executable, "-c", RATE],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout.split()  # fmt: skip
    trained = told["ours"][0]["articles"]
    print(f"\none thread, {ROUNDS} rounds, one epoch of {trained} of {ARTICLES} articles")
    print(f"GEMM {gemm[0]} GFLOPS in fp32, {gemm[1]} in bf16")
    base = resolve_base(BASE)
    operations = 4 * multiplied(body_in(base.path, base.ref))  # a token, forward and backward to the activations
    peak = 1e9 * float(gemm[native])
    rates = {name: statistics.median(one["articles"] / one["seconds"] for one in of) for name, of in told.items()}
    errors = {name: statistics.median(one["mae"] for one in of) for name, of in told.items()}
    for name, of in told.items():
        share = statistics.median(one["tokens_per_second"] for one in of) * operations / peak
        beside = "   ".join(f"{rates[name] / rates[other]:.2f}x {other}" for other in told if other != name)
        print(f"{name:24s} {rates[name]:5.2f} articles/CPU s, {share:.0%} of GEMM, MAE {errors[name]:.3f}   {beside}")
    if before:
        assert errors["ours"] <= errors[f"build {BEFORE}"] + WORSE
        assert rates["ours"] >= FASTER[native] * rates[f"build {BEFORE}"]
    assert errors["ours"] < errors["Trainer and peft, fp32"]
    assert rates["ours"] > 0.9 * rates["Trainer and peft, fp32"]  # which fits no head beforehand
