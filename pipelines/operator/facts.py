"""What is known of a Filter object's loop at one moment: what it asks for, what the store holds, what Kubeflow says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from distillery.components.artifacts.channel import Channel
from distillery.components.artifacts.intent import Intent
from distillery.components.artifacts.run_claim import RunClaim
from distillery.components.store import Digest
from distillery.pipelines.operator.wanted import Wanted

Outcome = Literal[
    "running",
    "promoted",
    "candidate",
    "rejected",
    "pinned",
    "blocked",
    "superseded",
    "input",  # bad input, which somebody must mend
    "waiting",  # a person's word is missing: marks
    "stopped",  # it ended itself: an outage, no credit, budget reached
    "fault",  # a pod or the program failed
    "cancelled",  # a person ended it
]
FINAL: Final = ("promoted", "candidate", "rejected", "pinned", "blocked")  # the gates have spoken


@dataclass(frozen=True)
class RunSeen:
    """A run as store and Kubeflow show it.

    Attributes:
        id: Kubeflow's.
        outcome: what it came to.
        reason: why, for people; "" where there is nothing to say.
        step: the step that failed; "" where none did.
        done: steps that have left a record.
        adapter: digest of the adapter; "" where it came to none.
        decision: what the gates decided; "" where they have not.
        mae: of the adapter on the test part; None where that is not known.
        usd: what its labels have cost; None where that is not known.
        report: address of its report; "" where there is none.
        uncalibrated: True if it found the rubric's calibration missing, failed or unmarked.
        review: address of the page to mark articles on; "" where there is none.
        page: address of the run in Kubeflow's UI; "" where that is not known.
        finished: when it ended, in seconds since 1970; None where that is not known.
    """

    id: str
    outcome: Outcome
    reason: str = ""
    step: str = ""
    done: tuple[str, ...] = ()
    adapter: str = ""
    decision: str = ""
    mae: float | None = None
    usd: float | None = None
    report: str = ""
    uncalibrated: bool = False
    review: str = ""
    page: str = ""
    finished: float | None = None


@dataclass(frozen=True)
class Facts:
    """What is known.

    Attributes:
        wanted: what the object asks for.
        inputs: digest of what a run for it would be claimed under.
        channel: the filter's channel.
        intent: what the object asked for when it was last looked at; None where it never was.
        other: another object that this filter's channel belongs to; "" for none.
        changed: steps whose part of the filter differs from the intent's.
        served: digest of the adapter that served under this very filter, last; "" for none.
        claim: who runs these inputs; None where nobody has.
        run: the run of these inputs; None where there is none that Kubeflow or the store know.
        earlier: the run that was started for an earlier spec and goes on; None where none does.
        unpaid: why no run that pays for labels is started; "" where one may be.
        calibrated: True if a rubric that a run found uncalibrated has been calibrated since.
        due: steps that are due, as `plan` says; None where it was not asked.
        last: the filter's last run, where these inputs need none of their own.
    """

    wanted: Wanted
    inputs: Digest
    channel: Channel
    intent: Intent | None = None
    other: str = ""
    changed: tuple[str, ...] = ()
    served: str = ""
    claim: RunClaim | None = None
    run: RunSeen | None = None
    earlier: RunSeen | None = None
    unpaid: str = ""
    calibrated: bool = False
    due: tuple[str, ...] | None = None
    last: RunSeen | None = None
    etag: str | None = field(default=None, compare=False)

    @property
    def shown(self) -> RunSeen | None:
        """Return the run that the status tells of."""
        return self.run or self.last
