"""The oracle engine against a local server in a process of its own: how much of concurrency ÷ latency, in how much memory.

Prints the table of components/labeling/README.md, in some six minutes. DISTILABEL_PYTHON names an interpreter that has
distilabel[openai], for the comparison on the same server with the same prompts and concurrency. For a machine with nothing
else to do: what is asserted are shares and ratios, processor time a call beside the service's own client among them.
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

from distillery.filters.loading import load_filter_text
from distillery.filters.prompt import article_part, prompt_prefix, render_prompt
from tests.labeling.conftest import FILTER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]
ROOT = Path(__file__).parents[2]
LATENCY = 0.3
ORACLES = {
    "openai": "provider: openai, model: gpt-4o-mini, maxWords: 200",
    "vertex": "provider: vertex, model: gemini-2.5-flash, project: news, apiKeyEnv: VERTEX_TOKEN, maxWords: 200",
}
FILTER_TEXT = FILTER.replace("model: recorded, maxWords: 60", ORACLES["openai"])
# Runs a command, then prints its time, its peak memory and its processor time as the system saw them.
MEASURED = (
    "import resource, subprocess, sys, time; t = time.monotonic(); r = subprocess.run(sys.argv[1:]); "
    "u = resource.getrusage(resource.RUSAGE_CHILDREN); "
    "print(time.monotonic() - t, u.ru_maxrss // 1024, u.ru_utime + u.ru_stime); sys.exit(r.returncode)"
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

# The service's own client and nothing else: the same prompts, as many at once, replies thrown away.
BARE = """
import asyncio, json, sys, time
url, path, concurrency, service = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
rows = [json.loads(line) for line in open(path)]
if service == "openai":
    from openai import AsyncOpenAI
    client = AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0)
    def call(row):
        return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": row["instruction"]}])
else:
    from google import genai
    from google.oauth2.credentials import Credentials
    options = {"base_url": url, "api_version": "v1"}
    client = genai.Client(vertexai=True, project="news", location="global", credentials=Credentials("t"), http_options=options)
    def call(row):
        config = {"system_instruction": row["prefix"]}
        return client.aio.models.generate_content(model="gemini-2.5-flash", contents=row["part"], config=config)
async def all_of(rows):
    places = asyncio.Semaphore(concurrency)
    async def one(row):
        async with places:
            await call(row)
    began = time.process_time()
    await asyncio.gather(*map(one, rows))
    return (time.process_time() - began) / len(rows)
async def main():
    await all_of(rows[:concurrency])
    print(await all_of(rows))
asyncio.run(main())
"""


@contextmanager
def served(latency: float, service: str = "openai") -> Iterator[str]:
    command = [sys.executable, "-m", "tests.labeling.oracles.servers", "--latency", str(latency), "--service", service]
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


def measured(command: list[str], **environment: str) -> tuple[float, int, float, str]:
    """Seconds, peak memory in MB, seconds of processor time, standard output."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OPENAI_API_KEY": "sk-test", "VERTEX_TOKEN": "token", "OMP_NUM_THREADS": "1"} | environment,
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    *out, last = ran.stdout.splitlines()
    seconds, memory, processor = last.split()
    return float(seconds), int(memory), float(processor), "\n".join(out)


def ours(
    folder: Path, url: str, file: Path, concurrency: int, service: str = "openai"
) -> tuple[float, int, float, dict[str, Any]]:
    text = FILTER.replace("model: recorded, maxWords: 60", ORACLES[service])
    (folder / "filter.yaml").write_text(text, encoding="utf-8")
    seconds, memory, processor, out = measured([
        sys.executable, "-m", "distillery.pipelines.cli.main", "label", str(folder / "filter.yaml"), "--articles",
        str(file), "--json", "--store", str(folder / f"store-{file.stem}-{concurrency}"), "--concurrency", str(concurrency),
        "--set", f"oracle.baseUrl={url}", "--without-calibration", "benchmark"])  # fmt: skip
    return seconds, memory, processor, json.loads(out)


def prompts(path: Path, file: Path) -> Path:
    flt = load_filter_text(FILTER_TEXT, "demo.yaml")
    with path.open("w", encoding="utf-8") as out:
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            title, content = row["title"], row["content"]
            texts = {"prefix": prompt_prefix(flt), "part": article_part(flt, title, content)}
            out.write(json.dumps({"instruction": render_prompt(flt, title, content), **texts}) + "\n")
    return path


@pytest.mark.parametrize(("service", "concurrency"), [("openai", 16), ("openai", 64), ("vertex", 64)])
def test_share_of_what_the_latency_allows(tmp_path: Path, service: str, concurrency: int) -> None:
    """Of the time between the first call and the last reply, which `per_second` of the step's facts covers."""
    n = concurrency * 60
    file, few = articles(tmp_path / "articles.jsonl", n), articles(tmp_path / "few.jsonl", concurrency)
    with served(0.0, service) as url:
        starting = ours(tmp_path, url, few, concurrency, service)[2]  # start and end of a run, whatever its length
    with served(LATENCY, service) as url:
        seconds, memory, processor, out = ours(tmp_path, url, file, concurrency, service)
    with served(LATENCY, service) as url:
        asked = str(prompts(tmp_path / "prompts.jsonl", file))
        bare = float(measured([sys.executable, "-c", BARE, url, asked, str(concurrency), service])[3])
    share, a_call = out["per_second"] / (concurrency / LATENCY), (processor - starting) / (n - concurrency)
    print(
        f"\n{service}, {concurrency} at once: {out['per_second']:.1f}/s, {share:.1%} of what the latency allows, "
        f"{a_call * 1000:.1f} ms of processor time a call, {a_call / bare:.2f} of the bare client's; "
        f"{seconds:.1f} s in all, {memory} MB"
    )
    assert out["labeled"] == n
    assert a_call < 1.4 * bare  # with reading, checking and keeping; the share hides a slow client where few calls run
    assert share >= 0.95


def test_memory_does_not_grow_with_the_articles(tmp_path: Path) -> None:
    peaks = {}
    with served(0.01) as url:
        for n in (1_000, 10_000, 100_000):
            seconds, peaks[n], processor, out = ours(tmp_path, url, articles(tmp_path / f"a{n}.jsonl", n), 64)
            print(f"\n{n:,} articles: {peaks[n]} MB, {seconds:.0f} s, {processor:.0f} s of processor time")
            assert out["labeled"] == n
    # Page caches fill and buffers take their size (10 MB); the ids seen take some 100 bytes an article. Nothing else may grow.
    assert peaks[100_000] <= 1.25 * peaks[1_000]


def test_beside_distilabel(tmp_path: Path) -> None:
    python = os.environ.get("DISTILABEL_PYTHON", "")
    if not python:
        pytest.skip("DISTILABEL_PYTHON names no interpreter with distilabel[openai]: comparison not run")
    n, concurrency = 1_920, 64
    file = articles(tmp_path / "articles.jsonl", n)
    asked = str(prompts(tmp_path / "prompts.jsonl", file))
    with served(LATENCY) as url:
        seconds, memory, _, _ = ours(tmp_path, url, file, concurrency)
    with served(LATENCY) as url:
        theirs, their_memory, _, _ = measured([python, "-c", THEIRS, url, asked, str(concurrency)], HOME=str(tmp_path))
        counters = json.load(urlopen(url.removesuffix("/v1") + "/counters"))
        assert counters["paid"] == n
    print(f"\n{n:,} articles, {concurrency} at once: {seconds:.1f} s, {memory} MB; theirs {theirs:.1f} s, {their_memory} MB")
    assert seconds < theirs
    assert memory < their_memory
