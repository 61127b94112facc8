"""Events of a run: what a step says of itself while it works, one JSON object a line.

Events are for eyes only: nothing is decided by them.
"""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from pydantic import Field

from distillery.components.artifacts.document import Document
from distillery.components.artifacts.run_summary import Cause
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.store import StoreError, parse_json


class _Event(Document):
    """What all events have.

    Attributes:
        n: number of the event in its step's feed, from 1; 0 in a local file.
        at: Unix time in seconds.
        step: name of the step.
    """

    KIND = "an event of a run"
    HINT = "delete it: events are for eyes only"

    format: Literal[1] = 1
    n: int = 0
    at: float
    step: str

    def to_line(self) -> str:
        """Return the event as one line of JSON, with its line break."""
        return json.dumps(self.to_json()) + "\n"


class Started(_Event):
    """The step began."""

    kind: Literal["started"] = "started"


class Progressed(_Event):
    """How far the step is.

    Attributes:
        done: units that are through.
        total: units in all; None where that is not known.
        unit: what is counted, "" for nothing in particular.
        rate: units a second.
        facts: figures to show beside, such as the loss.
    """

    kind: Literal["progress"] = "progress"
    done: int
    total: int | None = None
    unit: str = ""
    rate: float = 0.0
    facts: dict[str, int | float | str] = Field(default_factory=dict)


class Measured(_Event):
    """Figures that belong to a place of the work, such as the errors after an epoch; none is dropped.

    Attributes:
        done: units that were through.
        figures: by name.
    """

    kind: Literal["figures"] = "figures"
    done: int
    figures: dict[str, float] = Field(default_factory=dict)


class Noted(_Event):
    """One line worth keeping in the log."""

    kind: Literal["note"] = "note"
    text: str


class Done(_Event):
    """The step is done, with its record."""

    kind: Literal["done"] = "done"
    record: StepRecord


class Failed(_Event):
    """The step failed.

    Attributes:
        cause: whose fault it is, as in `Failure.kind`.
        message: one line for people.
        second: what went wrong while the failure was recorded, "" for nothing.
    """

    kind: Literal["failed"] = "failed"
    cause: Cause
    message: str
    second: str = ""


Event: TypeAlias = Started | Progressed | Measured | Noted | Done | Failed
_FORMS: dict[object, type[Event]] = {
    "started": Started,
    "progress": Progressed,
    "figures": Measured,
    "note": Noted,
    "done": Done,
    "failed": Failed,
}


def read_event(line: bytes, where: str) -> Event:
    """Return the event of one line.

    Args:
        line: one JSON object.
        where: address of the object or file that holds it, for the error.

    Returns:
        The event, of the class that its kind names.

    Raises:
        StoreError: the line is no event.
    """
    fields = parse_json(line, where)
    kind = fields.get("kind") if isinstance(fields, dict) else None
    if not isinstance(kind, str) or kind not in _FORMS:
        raise StoreError(f"is not {_Event.KIND}: kind {str(kind)[:40]!r}", where=where, hint=_Event.HINT)
    return _FORMS[kind].read(line, where)
