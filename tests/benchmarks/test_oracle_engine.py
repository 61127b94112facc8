"""The oracle engine against a local server in a process of its own: how much of concurrency ÷ latency, in how much memory.

Prints the table of components/labeling/README.md. DISTILABEL_PYTHON names an interpreter that has distilabel[openai], for the
comparison on the same server with the same prompts and concurrency. Meant for a machine with nothing else to do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from filters.loading import load_filter_text
from filters.prompt import render_prompt
from tests.labeling.conftest import FILTER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]
ROOT = Path(__file__).parents[2]
LATENCY = 0.3
FILTER_TEXT = FILTER.replace("model: recorded, maxWords: 60", "provider: openai, model: gpt-4o-mini, maxWords: 200")
# Runs a command, then prints its peak memory as the system saw it.
MEASURED = (
    "import resource, subprocess, sys, time; t = time.monotonic(); r = subprocess.run(sys.argv[1:]); "
    "print(time.monotonic() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(r.returncode)"
)
THEIRS = """
import json, sys
from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
url, path, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows = [json.loads(line) for line in open(path)]
with Pipeline("benchmark") as pipeline:
    load = LoadDataFromDicts(data=rows, batch_size=concurrency)
    options = {"temperature": 0, "max_new_tokens": 64}
    llm = OpenAILLM(model="gpt-4o-mini", base_url=url, api_key="sk-test", generation_kwargs=options)
    load >> TextGeneration(llm=llm, input_batch_size=concurrency)
done = pipeline.run(use_cache=False)
assert len(done["default"]["train"]) == len(rows)
"""


@contextmanager
def served(latency: float) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.labeling.providers.servers", "--latency", str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def articles(path: Path, n: int) -> Path:
    words = ["solar", "wind", "heat", "pump", "farm", "village", "storage", "battery", "grid", "steel", "cement", "forest"]
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            text = " ".join(words[(number * 7 + place * place) % len(words)] for place in range(300))
            row = {"id": f"a{number}", "title": f"Pump {number}", "content": f"Number {number}. {text}"}
            file.write(json.dumps(row) + "\n")
    return path


def measured(command: list[str], **environment: str) -> tuple[float, int, str]:
    """Seconds, peak memory in MB, standard output."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENAI_API_KEY": "sk-test", "OMP_NUM_THREADS": "1"} | environment,
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    *out, last = ran.stdout.splitlines()
    seconds, memory = last.split()
    return float(seconds), int(memory), "\n".join(out)


def ours(folder: Path, url: str, file: Path, concurrency: int) -> tuple[float, int, dict[str, Any]]:
    (folder / "filter.yaml").write_text(FILTER_TEXT, encoding="utf-8")
    seconds, memory, out = measured([
        sys.executable, "-m", "pipelines.cli", "label", str(folder / "filter.yaml"), "--articles", str(file), "--json",
        "--store", str(folder / f"store-{file.stem}-{concurrency}"), "--concurrency", str(concurrency),
        "--set", f"oracle.baseUrl={url}", "--without-calibration", "benchmark"])  # fmt: skip
    return seconds, memory, json.loads(out)


@pytest.mark.parametrize("concurrency", [16, 64])
def test_share_of_what_the_latency_allows(tmp_path: Path, concurrency: int) -> None:
    """Of the time between the first call and the last reply, which `rate` of the step's facts covers."""
    n = concurrency * 60
    file = articles(tmp_path / "articles.jsonl", n)
    with served(LATENCY) as url:
        seconds, memory, out = ours(tmp_path, url, file, concurrency)
    share = out["per_second"] / (concurrency / LATENCY)
    print(
        f"\nconcurrency {concurrency}: {out['per_second']:.1f}/s, {share:.1%} of what the latency allows; "
        f"{seconds:.1f} s in all, {memory} MB"
    )
    assert out["labeled"] == n
    assert share >= 0.95


def test_memory_does_not_grow_with_the_articles(tmp_path: Path) -> None:
    peaks = {}
    with served(0.01) as url:
        for n in (1_000, 10_000, 100_000):
            seconds, peaks[n], out = ours(tmp_path, url, articles(tmp_path / f"a{n}.jsonl", n), 64)
            print(f"\n{n:,} articles: {peaks[n]} MB, {seconds:.0f} s")
            assert out["labeled"] == n
    # The ids already seen take some 100 bytes an article, and the page caches fill; nothing else may grow.
    assert peaks[100_000] <= peaks[1_000] + 100


def test_beside_distilabel(tmp_path: Path) -> None:
    python = os.environ.get("DISTILABEL_PYTHON", "")
    if not python:
        pytest.skip("DISTILABEL_PYTHON names no interpreter with distilabel[openai]: comparison not run")
    n, concurrency = 1_920, 64
    file, flt = articles(tmp_path / "articles.jsonl", n), load_filter_text(FILTER_TEXT, "demo.yaml")
    prompts = tmp_path / "prompts.jsonl"
    with prompts.open("w", encoding="utf-8") as out:
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            out.write(json.dumps({"instruction": render_prompt(flt, row["title"], row["content"])}) + "\n")
    with served(LATENCY) as url:
        seconds, memory, _ = ours(tmp_path, url, file, concurrency)
    with served(LATENCY) as url:
        theirs, their_memory, _ = measured([python, "-c", THEIRS, url, str(prompts), str(concurrency)], HOME=str(tmp_path))
        counters = json.load(urlopen(url.removesuffix("/v1") + "/counters"))
        assert counters["paid"] == n
    print(f"\n{n:,} articles, {concurrency} at once: {seconds:.1f} s, {memory} MB; theirs {theirs:.1f} s, {their_memory} MB")
    assert seconds < theirs
    assert memory < their_memory
