"""How many articles one CPU thread scores in a second of its time: transformers' pipeline, an earlier build, and ours, in turn.

    DISTILLERY_BEFORE=a9921a4 pytest -s -m slow tests/benchmarks/test_scoring_cpu.py

The demo's articles, of which each is there three times over for length 512; all-MiniLM-L6-v2 with random LoRA; the whole of
`score`, from JSON Lines to Parquet, a warm student. DISTILLERY_BENCH_ARTICLES and _ROUNDS make it longer, _ONLY takes some of
the contenders ("build,bf16"). The earlier build is the wheel of that commit, installed beside and found first; it is left out
where git does not know the commit.
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
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from distillery.components.student.devices import native_bf16

ROOT = Path(__file__).resolve().parents[2]
LOOP = Path(__file__).with_name("score_loop.py")
BEFORE = os.environ.get("DISTILLERY_BEFORE", "a9921a4")
ARTICLES, ROUNDS = int(os.environ.get("DISTILLERY_BENCH_ARTICLES", "400")), int(os.environ.get("DISTILLERY_BENCH_ROUNDS", "3"))
ONLY = os.environ.get("DISTILLERY_BENCH_ONLY", "").split(",")
LENGTHS = (256, 512)
BOUND = {256: 2.2, 512: 1.9}  # times the earlier build; a CPU without bf16 has 1.0

RATE = """
import torch
torch.set_num_threads(1)
from distillery.components.student.probe import measure
print(*(f"{rate:.0f}" for rate in measure()))
"""


class Contender:
    """A process that works on one thread, and answers each line with JSON."""

    def __init__(self, name: str, arguments: list[str], first: Path | None = None, loop: Path = LOOP) -> None:
        paths = {"PYTHONPATH": str(first)} if first else {}
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(loop), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=first or ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **paths},
        )  # fmt: skip
        self._answer("ready")

    def _answer(self, wanted: str) -> str:
        out: IO[str] = self.process.stdout  # type: ignore[assignment]
        for line in out:
            if line.startswith(wanted):
                return line
        raise AssertionError(f"{self.name} ended")

    def ask(self, *line: object, begins: str) -> Any:
        """Return the answer to a line, which begins with a sign of JSON."""
        given: IO[str] = self.process.stdin  # type: ignore[assignment]
        print(*line, file=given, flush=True)
        return json.loads(self._answer(begins))

    def score(self, length: int, articles: Path, out: Path) -> tuple[float, Any]:
        """Return CPU seconds and scores."""
        seconds, scores = self.ask(length, articles, out, begins="[")
        return seconds, np.array(scores)


def installed(commit: str, folder: Path) -> Path | None:
    """Build a commit's wheel and install it into a folder; None where git does not know it."""
    if subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True).returncode:
        return None
    tree, target = folder / "tree", folder / "before"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x"], cwd=tree, input=archive.stdout, check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target, tree],
        check=True,
    )
    return target


def corpora(folder: Path) -> dict[int, Path]:
    with gzip.open(ROOT / "components/demo/articles.jsonl.gz", "rt", encoding="utf-8") as rows:
        articles = [json.loads(row) for row, _ in zip(rows, range(ARTICLES), strict=False)]
    made = {}
    for length in LENGTHS:
        made[length] = folder / f"{length}.jsonl"
        times = 1 if length == LENGTHS[0] else 3
        lines = (json.dumps({"title": a.get("title", ""), "content": f"{a['content']} " * times}) for a in articles)
        made[length].write_text("\n".join(lines))
    return made


@pytest.mark.slow
@pytest.mark.timeout(2 * 3600)
def test_scoring_is_twice_as_fast_as_before(tmp_path: Path) -> None:
    before, files = installed(BEFORE, tmp_path), corpora(tmp_path)
    native = native_bf16()
    contenders = {
        "pipeline, fp32": ["pipeline", "fp32"],
        "pipeline, bf16": ["pipeline", "bf16"] if native else [],
        f"build {BEFORE}": ["before"] if before else [],
        "ours, torch fp32": ["ours", "fp32", "torch"],
        "ours, torch bf16": ["ours", "bf16", "torch"] if native else [],
        "ours, OpenVINO fp32": ["ours", "fp32", "openvino"] if find_spec("openvino") else [],
        "ours, OpenVINO bf16": ["ours", "bf16", "openvino"] if find_spec("openvino") and native else [],
    }
    seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
    scores: dict[tuple[int, str], Any] = {}
    with ExitStack() as stack:
        chosen = {name: how for name, how in contenders.items() if how and any(each in name for each in ONLY)}
        playing = [Contender(name, how, before if how == ["before"] else None) for name, how in chosen.items()]
        for each in playing:
            stack.enter_context(each.process)
        for turn in range(ROUNDS):
            for length, file in files.items():
                for each in playing:
                    took, found = each.score(length, file, tmp_path / f"{turn}-{length}-{each.name}".replace(" ", ""))
                    seconds[length, each.name].append(took)
                    again = scores.setdefault((length, each.name), found)
                    assert np.array_equal(again, found), f"{each.name} scores otherwise the second time"
        for each in playing:
            each.process.stdin.close()  # type: ignore[union-attr]
    show(seconds, scores, [each.name for each in playing])


def show(seconds: dict[tuple[int, str], list[float]], scores: dict[tuple[int, str], Any], names: list[str]) -> None:
    gemm = subprocess.run(
        [sys.executable, "-c", RATE],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ).stdout.split()  # fmt: skip
    print(f"\none thread, {ARTICLES} articles, {ROUNDS} rounds; GEMM {gemm[0]} GFLOPS in fp32, {gemm[1]} in bf16")
    for length in LENGTHS:
        rates = {name: ARTICLES / statistics.median(seconds[length, name]) for name in names}
        ways = {"the earlier build": f"build {BEFORE}", "the pipeline": "pipeline, fp32"}
        plain = next((scores[length, name] for name in names if name.endswith(("torch fp32", BEFORE))), None)
        for name in names:
            beside = [f"{rates[name] / rates[other]:.2f}x {what}" for what, other in ways.items() if other in rates]
            if plain is not None and not name.startswith("pipeline"):
                beside.append(f"differs by {np.abs(scores[length, name] - plain).max():.4f} points at most")
            print(f"length {length}  {name:22s} {rates[name]:6.1f} articles/CPU s   {'   '.join(beside)}")
        if native_bf16() and ways["the earlier build"] in rates and "ours, OpenVINO bf16" in rates:
            assert rates["ours, OpenVINO bf16"] / rates[ways["the earlier build"]] >= BOUND[length]
