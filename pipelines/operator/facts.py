"""What is known of a Filter object's loop at one moment: what it asks for, what the store holds, what Kubeflow says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from distillery.components.articles.listing import Listing
from distillery.components.artifacts.channel import Channel
from distillery.components.artifacts.drift import DriftStatus
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
        limit: the budget that it reached, in US dollars; None where that did not end it.
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
    limit: float | None = None
    finished: float | None = None


@dataclass(frozen=True)
class Fresh:
    """What has come to the articles since those that the runs are of.

    Attributes:
        files: files that are new or were changed.
        articles: texts in them that the oracle has not labelled; None where they can't be counted.
        why: why they can't; "" where they can.
    """

    files: int
    articles: int | None
    why: str = ""

    @property
    def words(self) -> str:
        """Return what has come, for people."""
        files = f"{self.files:,} file{'' if self.files == 1 else 's'}"
        return f"{self.articles:,} articles in {files} are new" if self.articles != 1 else f"1 article in {files} is new"


@dataclass(frozen=True)
class Facts:
    """What is known.

    Attributes:
        wanted: what the object asks for.
        inputs: digest of what a run for it would be claimed under.
        run_inputs: what that digest covers.
        channel: the filter's channel.
        intent: what the object asked for when it was last looked at; None where it never was.
        other: another object that this filter's channel belongs to; "" for none.
        changed: steps whose part of the filter differs from the intent's.
        served: digest of the adapter that served under this very filter, last; "" for none.
        claim: who runs these inputs; None where nobody has.
        run: the run of these inputs; None where there is none that Kubeflow or the store know.
        earlier: the run that was started for an earlier spec and goes on; None where none does.
        articles: address of the articles that are labelled; "" where the object names labels.
        listing: what is there now; None where that is one object.
        fresh: what of it has come since; None where nothing has, or a run goes on.
        snapshot: address of the listing of those that runs are of; "" where that is what lies there.
        gone: True if one of these is another one by now, or gone.
        anew: True if the articles are to be taken anew: the last run met bad input, and a file may be mended by now; or nobody
            knows any more what was taken.
        drift: what the last look at the scores of the adapter that serves says; None where that can't be known now.
        paid: True if labels cost money.
        unpaid: why no run that pays for labels is started; "" where one may be.
        calibrated: True if a rubric that a run found uncalibrated has been calibrated since.
        due: steps that are due, as `plan` says; None where it was not asked.
        last: the filter's last run, where these inputs need none of their own.
    """

    wanted: Wanted
    inputs: Digest
    channel: Channel
    run_inputs: Mapping[str, Any] = field(default_factory=dict)
    intent: Intent | None = None
    other: str = ""
    changed: tuple[str, ...] = ()
    served: str = ""
    claim: RunClaim | None = None
    run: RunSeen | None = None
    earlier: RunSeen | None = None
    articles: str = ""
    listing: Listing | None = None
    fresh: Fresh | None = None
    snapshot: str = ""
    gone: bool = False
    anew: bool = False
    drift: DriftStatus | None = None
    paid: bool = False
    unpaid: str = ""
    calibrated: bool = False
    due: tuple[str, ...] | None = None
    last: RunSeen | None = None
    etag: str | None = field(default=None, compare=False)

    @property
    def shown(self) -> RunSeen | None:
        """Return the run that the status tells of."""
        return self.run or self.last
