"""What is to be done next for one filter of a Scoring object, from facts alone: nothing here reads or writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from distillery.components.artifacts.passes import Passes
from distillery.components.scoring.new_files import JobState
from distillery.components.scoring.passes import Begun
from distillery.filters.cron import following, latest
from distillery.filters.scoring import ScoringSpec
from distillery.pipelines.operator.decide import FOLLOW, IDLE, Wait

NO_JOB: Final = JobState("none")
RETRY: Final = 600.0  # seconds after which the parts that a failed Job left are tried again


@dataclass(frozen=True)
class Look:
    """Look for new files, and list a pass over them."""


@dataclass(frozen=True)
class Submit:
    """Start the Job of the pass that goes on, for the parts that are left."""


@dataclass(frozen=True)
class Finish:
    """Note that the pass has ended."""


ScoringAction = Look | Submit | Finish | Wait


@dataclass(frozen=True)
class ScoringFacts:
    """What is known of one filter of a Scoring.

    Attributes:
        name: of the filter.
        channel: of the filter.
        adapter: digest of the adapter that serves; "" where nothing was promoted.
        listed: the passes so far.
        begun: the pass that goes on; None where none does.
        job: what has become of its Job.
        left: parts of it that are left; None where its Job runs, and nobody counted.
        looked: when this process last looked for new files, in seconds since 1970; None where it never did.
        looked_for: the adapter that served then.
    """

    name: str
    channel: str
    adapter: str
    listed: Passes
    begun: Begun | None = None
    job: JobState = NO_JOB
    left: int | None = None
    looked: float | None = None
    looked_for: str = ""


def decide_scoring(facts: ScoringFacts, spec: ScoringSpec, now: float) -> ScoringAction:
    """Return what is to be done next.

    A pass that goes on is always brought to its end, also where the object was suspended: its pods work already.

    Args:
        facts: what is known.
        spec: what the object asks for.
        now: the time, in seconds since 1970.

    Returns:
        The next action; Wait where nothing is to be done now.
    """
    if facts.begun is not None:
        if facts.job.state == "running":
            return Wait(FOLLOW)
        if facts.left == 0:
            return Finish()
        if facts.job.state == "failed" and facts.job.at is not None:
            pause = facts.job.at.timestamp() + RETRY - now
            if pause > 0:
                return Wait(min(pause, IDLE))
        return Submit()
    if spec.suspend or not facts.adapter:
        return Wait(IDLE)
    if facts.looked is None or facts.adapter != facts.looked_for:
        return Look()
    at = datetime.fromtimestamp(now, UTC)
    due = latest(spec.schedule, at)
    if due is not None and due.timestamp() > facts.looked:
        return Look()
    soon = following(spec.schedule, at)
    return Wait(min((soon - at).total_seconds(), IDLE) if soon else IDLE)
