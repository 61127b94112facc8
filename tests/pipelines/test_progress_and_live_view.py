"""Events are what the live view is made of; torn lines, unknown steps and failures must not confuse it."""

from __future__ import annotations

import io
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.events import Done, Failed, Noted, Progressed, Started, read_event
from distillery.components.runtime.progress import FEED_EVENTS, Feed, Reporter, clock, line
from distillery.components.store import StoreError
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


def test_odd_facts_and_text_never_stop_the_work(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    report = Reporter("train", str(path), io.StringIO())
    facts: dict[str, Any] = {"loss": float("nan"), "rows": 12_345, "file": Path("/a"), "name": "\udcff"}
    report(1, 1, "steps", **facts)
    report.note("read b\udcff.jsonl")
    progress, note = (read_event(row, str(path)) for row in path.read_bytes().splitlines())
    assert isinstance(progress, Progressed)
    assert progress.facts == {"loss": "nan", "rows": 12_345, "file": "/a", "name": "?"}
    assert isinstance(note, Noted)
    assert note.text == "read b?.jsonl"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (b'{"kind": "sang", "at": 1.0, "step": "a"}', "is not an event of a run: kind 'sang'"),
        (b'{"at": 1.0}', "is not an event of a run: kind 'None'"),
        (b"[]", "is not an event of a run: kind 'None'"),
        (b'{"kind": "note", "at": 1.0, "step": "a"}', "is not an event of a run: text: Field required"),
        (b'{"kind": "started", "at": 1.0, "step": "a", "x": 1}', "is not an event of a run: x: Extra inputs are not permitted"),
        (b'{"kind": "started", "at"', "is not JSON"),
    ],
)
def test_what_is_no_event_is_one_line(row: bytes, what: str) -> None:
    with pytest.raises(StoreError) as error:
        read_event(row, "file:///s/runs/a/events/b.jsonl")
    assert str(error.value).startswith(f"file:///s/runs/a/events/b.jsonl: {what}")
    assert "\n" not in str(error.value)


def test_events_that_were_written_before_there_was_a_version_are_read() -> None:
    record = {"step": "a", "inputs": {}, "inputs_digest": "0" * 64, "outputs": {}, "keys": [], "facts": {}, "reused": True}
    rows: list[dict[str, Any]] = [
        {"n": 1, "at": 1.0, "step": "a", "kind": "started"},
        {
            "n": 2,
            "at": 2.0,
            "step": "a",
            "kind": "progress",
            "done": 1,
            "total": None,
            "unit": "",
            "rate": 0.5,
            "facts": {"l": 1.5},
        },
        {"n": 3, "at": 3.0, "step": "a", "kind": "note", "text": "on"},
        {"n": 4, "at": 4.0, "step": "a", "kind": "done", "record": record},
        {"n": 5, "at": 5.0, "step": "a", "kind": "failed", "cause": "fault", "message": "m", "second": "s"},
    ]
    kinds = [read_event(json.dumps(row).encode(), "x").kind for row in rows]
    assert kinds == ["started", "progress", "note", "done", "failed"]


def test_reporter_without_a_watcher_prints_plain_lines() -> None:
    out = io.StringIO()
    Reporter("label", None, out)(10, 10, "articles")
    assert out.getvalue() == "label: 10 of 10 articles\n"


@pytest.mark.parametrize(
    ("calls", "rate"),
    [
        ([(16, 400), (400, 400), (16, 50), (32, 50)], 16.0),  # validation begins where training began, with fewer in all
        ([(0, 50), (50, 50), (0, 50), (10, 50)], 10.0),  # the same number once more
        ([(0, None), (20, None), (30, 30)], 15.0),  # how many there are is known at the end
    ],
)
def test_what_begins_anew_has_a_rate_of_its_own(
    calls: list[tuple[int, int | None]], rate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(100.0)
    monkeypatch.setattr("distillery.components.runtime.progress.time.monotonic", lambda: next(seconds))
    events = io.StringIO()
    report = Reporter("train", events, io.StringIO(), seconds=0.0)
    for done, total in calls:
        report(done, total, "articles")
    assert json.loads(events.getvalue().splitlines()[-1])["rate"] == rate


def test_tail_waits_for_the_rest_of_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert list(tail) == []
    first, second = Started(at=1.0, step="train"), Noted(at=2.0, step="train", text="on")
    whole = (first.to_line() + second.to_line()).encode()
    path.write_bytes(whole[:-10])
    assert list(tail) == [first]
    with open(path, "ab") as file:
        file.write(whole[-10:])
    assert list(tail) == [second]


def test_watched_keeps_the_first_failure_and_the_records() -> None:
    watched = Watched({})
    watched.take(Started(step="split", at=10.0))
    record = StepRecord.of("split", {}, {"split": "abc"}, [])
    assert watched.take(Done(step="split", at=12.0, record=record)) == "split: done in 2 s"
    watched.take(Failed(step="train", at=13.0, cause="input", message="NaN loss"))
    watched.take(Failed(step="report", at=14.0, cause="fault", message="later"))
    assert watched.records == {"split": record}
    assert watched.outputs == {"split": "abc"}
    assert watched.failure == Failure(step="train", kind="input", message="NaN loss")


def test_a_feed_keeps_the_newest_progress_and_puts_seldom() -> None:
    puts: list[list[dict[str, Any]]] = []
    report = Reporter("train", None, io.StringIO())
    report.share(lambda data: puts.append([json.loads(row) for row in data.splitlines()]))
    assert report.feed is not None
    report.event(Started(at=0.0, step="train"))
    for done in range(1, 400):
        report.event(Progressed(at=1.0, step="train", done=done, total=400, unit="steps", rate=1.0))
    report.event(Done(at=2.0, step="train", record=StepRecord.of("train", {}, {}, [])))
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
        feed.take(Noted(at=0.0, step="train", text=str(i)))
    feed.close()
    assert len(puts[-1].splitlines()) == FEED_EVENTS


def test_a_store_that_is_away_neither_fails_nor_holds_up_the_step() -> None:
    def away(data: bytes) -> None:
        time.sleep(0.2)
        raise OSError("no route to host")

    feed = Feed(away)
    began = time.monotonic()
    feed.take(Started(at=0.0, step="train"))
    feed.take(Noted(at=0.0, step="train", text="on"))
    assert time.monotonic() - began < 0.1
    feed.close()
    hung = Feed(lambda data: time.sleep(30))
    hung.take(Started(at=0.0, step="train"))
    hung.close(seconds=0.1)
    assert time.monotonic() - began < 5


def test_a_local_events_file_needs_no_feed(tmp_path: Path) -> None:
    report = Reporter("label", str(tmp_path / "events.jsonl"), io.StringIO())
    report.share(lambda data: pytest.fail("put"))
    report.event(Started(at=0.0, step="label"))
    assert report.feed is None


def test_a_run_from_labels_shows_no_calibration_and_a_waived_one_is_skipped() -> None:
    watched = Watched({name: StepView(name) for name in ("preflight", "calibrate", "label")})
    ready = StepRecord.of("preflight", {}, {"articles": "", "labels": "/l.jsonl"}, [])
    watched.take(Done(step="preflight", at=1.0, record=ready))
    assert list(watched.steps) == ["preflight", "label"]
    watched = Watched({name: StepView(name) for name in ("preflight", "calibrate", "label")})
    ready = StepRecord.of("preflight", {}, {"articles": "/a.jsonl", "labels": ""}, [])
    watched.take(Done(step="preflight", at=1.0, record=ready))
    outputs = {"verdict": "WAIVED", "reason": "nothing is paid: recorded replies"}
    waived = StepRecord.of("calibrate", {}, outputs, [], reused=True)
    said = watched.take(Done(step="calibrate", at=2.0, record=waived))
    assert said == "calibrate: skipped: nothing is paid: recorded replies"
    assert watched.steps["calibrate"].state == "skipped"
