"""Shows a running pipeline: a live table on a terminal, one plain line every 15 s elsewhere.

One view for a run on this machine (events from a file, 0.1 s old) and one on a cluster (from the store, some 5 s old).
Everything goes to standard error, so that standard output is free for results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from distillery.components.runtime.progress import LINE_SECONDS, clock, line

MARKS = {"waiting": "·", "started": "▸", "done": "✓", "reused": "↺", "skipped": "–", "failed": "✗"}
POLL_SECONDS = 0.1


@dataclass
class StepView:
    name: str
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    last: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    record: dict[str, Any] = field(default_factory=dict)

    def detail(self) -> str:
        if self.state == "started" and self.last:
            text = line("", self.last["done"], self.last["total"], self.last["unit"], self.last["rate"], self.last["facts"])
            return text.removeprefix(": ")
        return self.note


@dataclass
class Watched:
    """What the events told: each step's view, and the failure where there was one."""

    steps: dict[str, StepView]
    failure: dict[str, str] | None = None

    def take(self, event: dict[str, Any]) -> str | None:
        """Takes one event in; returns a line worth printing where there is one."""
        name = event["step"]
        view = self.steps.setdefault(name, StepView(name))
        kind = event["kind"]
        if kind == "started":
            view.state, view.began = "started", event["at"]
            return f"{name}: started"
        if kind == "progress":
            view.last = event
        elif kind == "note":
            view.note = event["text"]
            return f"{name}: {event['text']}"
        elif kind == "done":
            view.record = event["record"]
            view.state = "reused" if view.record["reused"] else "done"
            view.seconds = event["at"] - view.began
            outputs = view.record.get("outputs", {})
            if outputs.get("labels") and name == "preflight":
                self.steps.pop("calibrate", None)  # there is no oracle to calibrate
            if outputs.get("verdict") == "WAIVED":
                view.state, view.note = "skipped", outputs.get("reason", "")
                return f"{name}: skipped: {view.note}"
            return f"{name}: {'reused, nothing to do' if view.record['reused'] else 'done in ' + clock(view.seconds)}"
        elif kind == "failed":
            view.state, view.note = "failed", event["message"]
            view.seconds = event["at"] - view.began if view.began else 0.0
            if self.failure is None:
                self.failure = {"step": name, "cause": event["cause"], "message": event["message"]}
            return f"{name}: failed: {event['message']}"
        return None


class Tail:
    """Reads whole lines as a file grows; a torn last line waits for its rest."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset, self.rest = path, 0, b""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        self.offset += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for raw in lines:
            yield json.loads(raw)


class Source(Protocol):
    """Where a run's events come from."""

    def events(self) -> Iterable[dict[str, Any]]:
        """What has happened since the last call."""

    def ended(self) -> bool: ...


@dataclass
class LocalRun:
    """A run in a process of this machine, its events in a file."""

    process: subprocess.Popen[bytes]
    tail: Tail

    def events(self) -> Iterable[dict[str, Any]]:
        return self.tail

    def ended(self) -> bool:
        return self.process.poll() is not None


def watch(source: Source, steps: Iterable[str]) -> Watched:
    """Follows a run to its end."""
    watched = Watched({name: StepView(name) for name in steps})
    follow = _live if sys.stderr.isatty() else _plain
    follow(source, watched)
    return watched


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plain(source: Source, watched: Watched) -> None:
    said, ended = time.monotonic(), False
    while not ended:
        ended = source.ended()  # asked first, so that what a run says last is read after its end
        for event in source.events():
            if text := watched.take(event):
                say(text)
                said = time.monotonic()
        if not ended and time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            for view in watched.steps.values():
                if view.state == "started":
                    say(f"{view.name}: {view.detail() or 'working'}, {clock(time.time() - view.began)} so far")
        time.sleep(0 if ended else POLL_SECONDS)


def _live(source: Source, watched: Watched) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    def table() -> Table:
        grid = Table.grid(padding=(0, 2))
        for view in watched.steps.values():
            seconds = time.time() - view.began if view.state == "started" else view.seconds
            style = {"started": "bold", "failed": "red", "waiting": "dim"}.get(view.state, "")
            shown = {"waiting": "", "reused": "reused", "skipped": "skipped"}.get(view.state, clock(seconds))
            grid.add_row(MARKS[view.state], view.name, shown, view.detail(), style=style)
        return grid

    # Drawn by a thread of its own: clocks go on while a far store is asked.
    with Live(get_renderable=table, console=Console(stderr=True), refresh_per_second=4):
        ended = False
        while not ended:
            ended = source.ended()
            for event in source.events():
                watched.take(event)
            time.sleep(0 if ended else POLL_SECONDS)
