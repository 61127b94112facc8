"""Events are what the live view is made of; torn lines, unknown steps and failures must not confuse it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from distillery.components.runtime.progress import FEED_EVENTS, Feed, Reporter, clock, line
from distillery.pipelines.laptop.events import Tail
from distillery.pipelines.run_view import StepView, Watched


@pytest.mark.parametrize(("seconds", "text"), [(3.7, "3 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_plain_line_says_step_rate_and_time_left() -> None:
    assert line("train", 50, 100, "steps", 2.0, {"loss": 0.123456}) == "train: 50 of 100 steps, 2.0/s, 25 s left, loss 0.1235"


def test_reporter_throttles_but_always_says_the_end(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    report = Reporter("label", str(events), io.StringIO())
    for done in range(101):
        report(done, 100, "articles")
    said = [json.loads(row) for row in events.read_text().splitlines()]
    assert said[-1]["done"] == 100
    assert len(said) < 10


def test_reporter_without_a_watcher_prints_plain_lines() -> None:
    out = io.StringIO()
    Reporter("label", None, out)(10, 10, "articles")
    assert out.getvalue() == "label: 10 of 10 articles\n"


def test_tail_waits_for_the_rest_of_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert list(tail) == []
    path.write_bytes(b'{"a": 1}\n{"a"')
    assert list(tail) == [{"a": 1}]
    with open(path, "ab") as file:
        file.write(b": 2}\n")
    assert list(tail) == [{"a": 2}]


def test_watched_keeps_the_first_failure_and_the_records() -> None:
    watched = Watched({})
    watched.take({"kind": "started", "step": "split", "at": 10.0})
    record = {"reused": False, "outputs": {"split": "abc"}}
    assert watched.take({"kind": "done", "step": "split", "at": 12.0, "record": record}) == "split: done in 2 s"
    watched.take({"kind": "failed", "step": "train", "at": 13.0, "cause": "input", "message": "NaN loss"})
    watched.take({"kind": "failed", "step": "report", "at": 14.0, "cause": "fault", "message": "later"})
    assert watched.steps["split"].record["outputs"] == {"split": "abc"}
    assert watched.failure == {"step": "train", "cause": "input", "message": "NaN loss"}


def test_a_feed_keeps_the_newest_progress_and_puts_seldom() -> None:
    puts: list[list[dict[str, Any]]] = []
    report = Reporter("train", None, io.StringIO())
    report.share(lambda data: puts.append([json.loads(row) for row in data.splitlines()]))
    assert report.feed is not None
    report.event("started")
    for done in range(1, 400):
        report.event("progress", done=done, total=400, unit="steps", rate=1.0, facts={})
    report.event("done", record={"reused": False})
    report.close()
    kinds = [row["kind"] for row in puts[-1]]
    assert kinds == ["started", "progress", "done"]
    assert puts[-1][1]["done"] == 399
    assert [row["n"] for row in puts[-1]] == [1, 400, 401]
    assert len(puts) <= 2, "at most one put every three seconds, and one at the end"


def test_a_feed_is_bounded() -> None:
    puts: list[bytes] = []
    feed = Feed(puts.append)
    for i in range(1000):
        feed.take({"kind": "note", "text": str(i)})
    feed.close()
    assert len(puts[-1].splitlines()) == FEED_EVENTS


def test_a_store_that_is_away_neither_fails_nor_holds_up_the_step() -> None:
    def away(data: bytes) -> None:
        time.sleep(0.2)
        raise OSError("no route to host")

    feed = Feed(away)
    began = time.monotonic()
    feed.take({"kind": "started"})
    feed.take({"kind": "note", "text": "on"})
    assert time.monotonic() - began < 0.1
    feed.close()
    hung = Feed(lambda data: time.sleep(30))
    hung.take({"kind": "started"})
    hung.close(seconds=0.1)
    assert time.monotonic() - began < 5


def test_a_local_events_file_needs_no_feed(tmp_path: Path) -> None:
    report = Reporter("label", str(tmp_path / "events.jsonl"), io.StringIO())
    report.share(lambda data: pytest.fail("put"))
    report.event("started")
    assert report.feed is None


def test_a_run_from_labels_shows_no_calibration_and_a_waived_one_is_skipped() -> None:
    watched = Watched({name: StepView(name) for name in ("preflight", "calibrate", "label")})
    ready = {"reused": False, "outputs": {"articles": "", "labels": "/l.jsonl"}}
    watched.take({"kind": "done", "step": "preflight", "at": 1.0, "record": ready})
    assert list(watched.steps) == ["preflight", "label"]
    watched = Watched({name: StepView(name) for name in ("preflight", "calibrate", "label")})
    ready = {"reused": False, "outputs": {"articles": "/a.jsonl", "labels": ""}}
    watched.take({"kind": "done", "step": "preflight", "at": 1.0, "record": ready})
    waived = {"reused": True, "outputs": {"verdict": "WAIVED", "reason": "nothing is paid: recorded replies"}}
    said = watched.take({"kind": "done", "step": "calibrate", "at": 2.0, "record": waived})
    assert said == "calibrate: skipped: nothing is paid: recorded replies"
    assert watched.steps["calibrate"].state == "skipped"
