"""What scoring twenty articles costs as a command, from its start to its end, beside importing torch alone.

    make run; pytest -s -m slow tests/benchmarks/test_start.py

Processor time of each process on one thread, in turn, the median of seven rounds; the adapter is that of the demo.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORE, ARTICLES = ROOT / ".distillery", ROOT / ".demo" / "articles.jsonl"
ROUNDS, BOUND = 7, 2.0  # times the import; 2.2 while the garbage collector went through what was imported
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
    "OMP_NUM_THREADS": "1"
}

pytestmark = pytest.mark.slow


def seconds(*words: str | Path) -> float:
    """The processor time of a command and of its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, words)], env=ENVIRONMENT, cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.skipif(not (STORE.is_dir() and ARTICLES.is_file()), reason="make run makes the adapter")
def test_scoring_twenty_articles_beside_an_import_of_torch(tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    with ARTICLES.open(encoding="utf-8") as lines:
        few.write_text("".join(islice(lines, 20)), encoding="utf-8")
    store = shutil.copytree(STORE, tmp_path / "store")
    score = ("-m", "distillery.pipelines.cli.main", "score", "sustainability-technology", few, "--store", store)
    ours, torch = list[float](), list[float]()
    for number in range(ROUNDS + 1):  # the first one compiles
        ours.append(seconds(*score, "--out", tmp_path / f"scores-{number}"))
        torch.append(seconds("-c", "import torch"))
    scored, imported = statistics.median(ours[1:]), statistics.median(torch[1:])
    print(f"\nscore of 20 articles {scored:.2f} s, import torch {imported:.2f} s: {scored / imported:.2f} times")
    assert scored <= BOUND * imported
