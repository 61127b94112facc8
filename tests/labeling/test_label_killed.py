"""Killed with SIGKILL at any moment and started again: nothing is lost, nothing durable is asked for again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from distillery.components.articles.articles import article_digest
from distillery.components.labeling.journal import Journal
from distillery.components.store import digest_json, open_store
from distillery.filters.digests import rubric_digest
from distillery.filters.filter import Filter

SCRIPT = Path(__file__).with_name("slow_labeling.py")
ROOT = Path(__file__).parents[2]
ARTICLES, WORKERS = 300, 8


def test_a_killed_run_ends_with_the_same_label_set(
    tmp_path: Path, flt: Filter, filter_text: str, write: Callable[..., str]
) -> None:
    rows = [
        {"id": f"a{number}", "title": f"Pump {number}", "content": f"Pump {number} heats {number * 7} homes."}
        for number in range(ARTICLES)
    ]
    articles, digests = write("articles.jsonl", rows), {article_digest(row["title"], row["content"]) for row in rows}

    def start(store: str, calls: str, seconds: float) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            str(SCRIPT),
            str(tmp_path / store),
            articles,
            str(tmp_path / calls),
            str(seconds),
            filter_text,
        ]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )

    def asked(calls: str) -> list[str]:
        path = tmp_path / calls
        return path.read_text().splitlines() if path.exists() else []

    undisturbed = start("one", "calls-one", 0.0)

    durable: set[str] = set()
    for quota in (0, 5, 120, 90, 1):  # calls to wait for before the kill: while starting, at the first, midway, at once
        before = len(asked("calls"))
        run = start("two", "calls", 0.004)
        while len(asked("calls")) < before + quota:
            assert run.poll() is None
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
        again = [line.split()[0] for line in asked("calls")[before:]]
        assert not durable & set(again), "what was durable at an earlier kill was asked for again"
        journal = Journal(
            open_store(str(tmp_path / "two")),
            flt.name,
            rubric=rubric_digest(flt),  # type: ignore[arg-type]
            oracle=digest_json({"provider": "slow"}),
            dimensions=flt.dimensions,
        )
        assert journal.damaged == 0
        durable = {digest for digest in digests if journal.answer(digest) or journal.dead_letter(digest)}
        assert {answer.article for answer in journal.answers()} <= durable
    assert 100 < len(durable) < ARTICLES

    before = len(asked("calls"))
    out, _ = start("two", "calls", 0.0).communicate()
    assert not durable & {line.split()[0] for line in asked("calls")[before:]}
    expected, _ = undisturbed.communicate()
    assert json.loads(out) == json.loads(expected)
    assert json.loads(out)["dead"] == ARTICLES // 10

    # Per kill, at most what each of the workers had under way: one call, or an article's attempts so far.
    extra = Counter(asked("calls")) - Counter(asked("calls-one"))
    assert not Counter(asked("calls-one")) - Counter(asked("calls"))
    assert len({line.split()[0] for line in extra}) <= 5 * WORKERS
