"""Shows a running pipeline: a live table on a terminal, one plain line every 15 s elsewhere.

Reads the events that steps append to one file. Everything goes to standard error, so that standard output is free for
results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.progress import LINE_SECONDS, clock, line

MARKS = {"waiting": "·", "started": "▸", "done": "✓", "reused": "↺", "failed": "✗"}
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


def watch(process: subprocess.Popen[bytes], events: Path, steps: Iterable[str]) -> Watched:
    """Follows a run to its end."""
    watched = Watched({name: StepView(name) for name in steps})
    tail = Tail(events)
    follow = _live if sys.stderr.isatty() else _plain
    follow(process, tail, watched)
    for event in tail:
        if (text := watched.take(event)) and follow is _plain:
            print(text, file=sys.stderr, flush=True)
    return watched


def _plain(process: subprocess.Popen[bytes], tail: Tail, watched: Watched) -> None:
    said = time.monotonic()
    while process.poll() is None:
        for event in tail:
            if text := watched.take(event):
                print(text, file=sys.stderr, flush=True)
                said = time.monotonic()
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            for view in watched.steps.values():
                if view.state == "started":
                    so_far = clock(time.time() - view.began)
                    print(f"{view.name}: {view.detail() or 'working'}, {so_far} so far", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)


def _live(process: subprocess.Popen[bytes], tail: Tail, watched: Watched) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    def table() -> Table:
        grid = Table.grid(padding=(0, 2))
        for view in watched.steps.values():
            seconds = time.time() - view.began if view.state == "started" else view.seconds
            style = {"started": "bold", "failed": "red", "waiting": "dim"}.get(view.state, "")
            shown = "" if view.state == "waiting" else "reused" if view.state == "reused" else clock(seconds)
            grid.add_row(MARKS[view.state], view.name, shown, view.detail(), style=style)
        return grid

    with Live(table(), console=Console(stderr=True), refresh_per_second=4) as live:
        while process.poll() is None:
            for event in tail:
                watched.take(event)
            live.update(table())
            time.sleep(POLL_SECONDS)
        for event in tail:
            watched.take(event)
        live.update(table())
