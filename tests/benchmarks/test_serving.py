"""What the server takes for an article, beside the batch scorer and a route around transformers' pipeline, and its latencies.

    pytest -s -m slow tests/benchmarks/test_serving.py

The demo's articles, one a request, 64 requests in flight; all-MiniLM-L6-v2, one thread. What is compared are articles a second
of the server's own CPU, which other work on the machine hardly changes; wall clock is printed beside it. Latencies are those of
requests that come at random, at half the rate that was measured. DISTILLERY_BENCH_ARTICLES makes it longer, _ONLY takes some of
the plans ("bf16").
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from distillery.components.student.devices import native_bf16

ROOT = Path(__file__).resolve().parents[2]
LOOP = Path(__file__).with_name("serve_loop.py")
ARTICLES = int(os.environ.get("DISTILLERY_BENCH_ARTICLES", "400"))
ONLY = os.environ.get("DISTILLERY_BENCH_ONLY", "").split(",")
IN_FLIGHT = 64
AGAINST_BATCH = 0.9
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Load(NamedTuple):
    """Seconds of wall clock and of the server's CPU for all articles, and each request's latency."""

    wall: float
    cpu: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.cpu


@contextmanager
def server(*how: str) -> Iterator[tuple[int, int]]:
    """A server: its port and its process."""
    process = subprocess.Popen([sys.executable, str(LOOP), *how], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=ROOT)
    out: IO[str] = process.stdout  # type: ignore[assignment]
    try:
        yield int(next(line for line in out if line.startswith("port ")).split()[1]), process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def cpu_of(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask(port: int, bodies: list[bytes], waits: list[float] | None) -> list[float]:
    """Send each body once: by 64 clients one after the other, or each at its own time; return the latencies."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    latencies, left = list[float](), iter(bodies)

    async def one(body: bytes) -> None:
        began = time.monotonic()
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(size.split()[1]))
        idle.append((reader, writer))
        latencies.append(time.monotonic() - began)

    async def client() -> None:
        for body in left:
            await one(body)

    if waits is None:
        await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))
    else:
        tasks = []
        for body, wait in zip(bodies, waits, strict=True):
            await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(one(body)))
        await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return latencies


def load(port: int, process: int, bodies: list[bytes], rate: float = 0.0) -> Load:
    """Send all bodies, 64 in flight; or at random times, so many a second."""
    drawn = random.Random(5)
    waits = [drawn.expovariate(rate) for _ in bodies] if rate else None
    began, cpu = time.monotonic(), cpu_of(process)
    latencies = asyncio.run(ask(port, bodies, waits))
    return Load(time.monotonic() - began, cpu_of(process) - cpu, latencies)


def tail(latencies: list[float]) -> str:
    cuts = statistics.quantiles(latencies, n=100)
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_server_keeps_up_with_the_batch_scorer_and_outdoes_a_pipeline(tmp_path: Path) -> None:
    with gzip.open(ROOT / "components/demo/articles.jsonl.gz", "rt", encoding="utf-8") as rows:
        articles = [json.loads(row) for row, _ in zip(rows, range(ARTICLES), strict=False)]
    articles = [{"title": each.get("title", ""), "content": each["content"]} for each in articles]
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(each) + "\n" for each in articles), encoding="utf-8")
    bodies = [json.dumps({"articles": [each]}).encode() for each in articles]
    engines = ["torch", *(["openvino"] if find_spec("openvino") else [])]
    plans = [
        (precision, engine) for precision in ("fp32", "bf16") for engine in engines if precision == "fp32" or native_bf16()
    ]
    print(f"\none thread, {len(bodies)} articles, one a request; load of the machine {os.getloadavg()[0]:.1f}")
    with server("pipeline") as (port, process):
        load(port, process, bodies[:16])
        plain = load(port, process, bodies)
        print(f"pipeline          {plain.rate:6.1f} articles/CPU s  {tail(plain.latencies)} at {IN_FLIGHT} in flight")
        tails = load(port, process, bodies[: len(bodies) // 2], len(bodies) / plain.wall / 2).latencies
        print(f"                  {tail(tails)} at half load")
    ratios = dict[str, float]()
    for plan in (plan for plan in plans if any(each in " ".join(plan) for each in ONLY)):
        told = subprocess.run(
            [sys.executable, str(LOOP), "batch", *plan, str(tmp_path / "articles.jsonl"), str(tmp_path / "-".join(plan))],
            stdout=subprocess.PIPE, text=True, check=True, env=ENVIRONMENT, cwd=ROOT,
        ).stdout  # fmt: skip
        wall, cpu = json.loads(told.splitlines()[-1])
        with server("ours", *plan) as (port, process):
            load(port, process, bodies[:IN_FLIGHT])
            found = load(port, process, bodies)
            half = load(port, process, bodies[: len(bodies) // 2], len(bodies) / found.wall / 2)
        batch = len(bodies) / cpu
        against = found.rate / batch, found.rate / plain.rate
        print(
            f"{' '.join(plan):16s}  {found.rate:6.1f} articles/CPU s  {against[0]:.2f}x the batch scorer ({batch:.1f}; by "
            f"the clock {wall / found.wall:.2f}x)  {against[1]:.2f}x the pipeline\n"
            f"{'':16s}  {tail(found.latencies)} at {IN_FLIGHT} in flight\n"
            f"{'':16s}  {tail(half.latencies)} at half load"
        )
        ratios[" ".join(plan)] = against[0]
    assert min(ratios.values()) >= AGAINST_BATCH, ratios
