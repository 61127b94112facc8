"""`distillery label` killed with SIGKILL at random moments: an undisturbed run's labels, nothing durable paid again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labeling.conftest import FILTER
from tests.labeling.oracles.servers import OpenAIServer

ROOT = Path(__file__).parents[2]
CONCURRENCY = 16


@pytest.mark.parametrize(
    ("articles", "kills", "latency"),
    [pytest.param(400, 3, 0.03, id="quick"), pytest.param(2_000, 20, 0.05, id="all", marks=pytest.mark.slow)],
)
def test_labels_after_kills_are_those_of_an_undisturbed_run_and_only_calls_in_flight_are_paid_twice(
    tmp_path: Path, write: Callable[..., str], articles: int, kills: int, latency: float
) -> None:
    rows = [{"id": f"a{n}", "title": f"Pump {n}", "content": f"Pump number {n} heats {n * 7} homes."} for n in range(articles)]
    file, filter_path = write("articles.jsonl", rows), tmp_path / "filter.yaml"
    filter_path.write_text(FILTER.replace("model: recorded", "provider: openai, model: gpt-4o-mini"), encoding="utf-8")

    def start(server: OpenAIServer, store: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "distillery.pipelines.cli.main", "label", str(filter_path), "--articles", file,
             "--store", str(tmp_path / store), "--concurrency", str(CONCURRENCY), "--set", f"oracle.baseUrl={server.url}",
             "--without-calibration", "a test", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"OPENAI_API_KEY": "sk-test"})  # fmt: skip

    # Every twentieth article's first reply is torn, so that attempts outlive kills, too.
    torn = {"storm": {"malformed": 0.05}}
    with OpenAIServer(latency=latency, **torn) as server:
        expected, _ = start(server, "one").communicate()
        undisturbed = server.counters.paid
    draw = random.Random(7)
    with OpenAIServer(latency=latency, **torn) as server:
        for kill in range(kills):
            run, before = start(server, "two"), server.counters.paid
            quota = draw.randrange(2 * articles // (kills + 2)) if kill else 0  # the first while it is starting
            while server.counters.paid < before + quota:
                assert run.poll() is None, run.stderr.read() if run.stderr else ""
                time.sleep(0.002)
            run.send_signal(signal.SIGKILL)
            run.communicate()
            time.sleep(4 * latency)  # what was in flight is billed all the same
        out, err = start(server, "two").communicate()
        paid = server.counters.paid
    first, last = json.loads(expected), json.loads(out)
    assert "was killed" in err, "calls in flight at the last kill are reported"
    assert f"{CONCURRENCY} at most" in err
    assert last["label_set"] == first["label_set"]
    assert (last["labeled"], last["dead"]) == (first["labeled"], first["dead"])
    assert undisturbed <= paid <= undisturbed + kills * CONCURRENCY
    assert last["cached"] > articles // 5, "it went on from where it was"
