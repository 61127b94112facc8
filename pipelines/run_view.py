"""What is known of a running pipeline: each step's state, made from the events of its steps.

A run on this machine and a run on a cluster have one view. `distillery.pipelines.cli.live` shows it on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from distillery.components.runtime.progress import clock, line


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


class Source(Protocol):
    """Where a run's events come from."""

    def events(self) -> Iterable[dict[str, Any]]:
        """What has happened since the last call."""

    def ended(self) -> bool: ...
