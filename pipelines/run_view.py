"""What is known of a running pipeline: each step's state, made from the events of its steps.

A run on this machine and a run on a cluster have one view. `distillery.pipelines.cli.live` shows it on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from distillery.components.artifacts.run_summary import Failure
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.events import Done, Event, Failed, Noted, Progressed, Started
from distillery.components.runtime.progress import clock, line


@dataclass
class StepView:
    """What is known of one step.

    Attributes:
        name: Name of the step.
        state: waiting, started, done, reused, skipped or failed.
        began: When it began, in seconds since 1970; 0 before.
        seconds: How long it took; 0 while it goes on.
        last: Its newest progress.
        note: What it last said in words, or why it failed.
        record: Its record, once it is done.
    """

    name: str
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    last: Progressed | None = None
    note: str = ""
    record: StepRecord | None = None

    @property
    def outputs(self) -> dict[str, Any]:
        """Return what the step put out; nothing before it is done."""
        return self.record.outputs if self.record else {}

    def detail(self) -> str:
        """Return what is worth saying of the step beside its state.

        Returns:
            Its progress while it works, else its note.
        """
        if self.state == "started" and self.last:
            text = line("", self.last.done, self.last.total, self.last.unit, self.last.rate, self.last.facts)
            return text.removeprefix(": ")
        return self.note


@dataclass
class Watched:
    """What the events told.

    Attributes:
        steps: The view of each step, in order.
        failure: The first failure; None where there is none.
    """

    steps: dict[str, StepView]
    failure: Failure | None = None

    @property
    def outputs(self) -> dict[str, Any]:
        """Return what all steps put out, by name; the calibration's is apart, since its verdict is not the gates'."""
        return {key: value for view in self.steps.values() if view.name != "calibrate" for key, value in view.outputs.items()}

    @property
    def records(self) -> dict[str, StepRecord]:
        """Return the records of the steps that are done, by step."""
        return {name: view.record for name, view in self.steps.items() if view.record}

    def take(self, event: Event) -> str | None:
        """Take one event into the view.

        Args:
            event: An event of the run.

        Returns:
            A line worth printing; None where there is none. A failure has none: the command that watches ends with it.
        """
        name = event.step
        view = self.steps.setdefault(name, StepView(name))
        if isinstance(event, Started):
            view.state, view.began = "started", event.at
            return f"{name}: started"
        if isinstance(event, Progressed):
            view.last = event
        elif isinstance(event, Noted):
            view.note = event.text
            return f"{name}: {event.text}"
        elif isinstance(event, Done):
            view.record = event.record
            view.state = "reused" if event.record.reused else "done"
            view.seconds = event.at - view.began
            outputs = view.outputs
            if outputs.get("labels") and name == "preflight":
                self.steps.pop("calibrate", None)  # there is no oracle to calibrate
            if outputs.get("verdict") == "WAIVED":
                view.state, view.note = "skipped", outputs.get("reason", "")
                return f"{name}: skipped: {view.note}"
            return f"{name}: {'reused, nothing to do' if event.record.reused else 'done in ' + clock(view.seconds)}"
        elif isinstance(event, Failed):
            view.state, view.note = "failed", event.message
            view.seconds = event.at - view.began if view.began else 0.0
            if self.failure is None:
                self.failure = Failure(step=name, kind=event.cause, message=event.message)
        return None


class Source(Protocol):
    """Where a run's events come from."""

    def events(self) -> Iterable[Event]:
        """Return what has happened since the last call.

        Returns:
            Events, oldest first.
        """

    def ended(self) -> bool:
        """True if the run has ended.

        Returns:
            Whether nothing more will happen.
        """
