"""What is to be done next for a Filter object: one small step, worked out from facts alone.

Nothing here reads or writes. Each action leaves facts from which the next one follows, so a pass that is killed anywhere is
taken up where it stopped, and two that work at once come to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from distillery.components.artifacts.channel import Pin
from distillery.components.artifacts.intent import Intent
from distillery.pipelines.operator.facts import Facts, RunSeen
from distillery.pipelines.operator.retrain import by_commit, drift_hold, drifted, hold, over_budget, taken_now

FOLLOW: Final = 10.0  # seconds between two looks at a run
IDLE: Final = 300.0  # seconds between two looks at an object for which nothing is due
BACKOFF: Final = (30.0, 3600.0)  # seconds before a run that an outage or a fault ended is tried again: the first time, at most
UNKNOWN: Final = "unknown"  # where `plan` can't tell what is due, a run finds out
PAYING: Final = frozenset({"calibrate", "label", UNKNOWN})  # what asks an oracle, or may


@dataclass(frozen=True)
class Adopt:
    """Take note of what the object asks for now."""

    intent: Intent


@dataclass(frozen=True)
class Unpin:
    """Lift the pin that a change of the spec lifts."""

    pin: Pin


@dataclass(frozen=True)
class Restore:
    """Bring back the adapter that served under this spec before."""

    adapter: str


@dataclass(frozen=True)
class Approve:
    """Promote the adapter that the object names."""

    adapter: str


@dataclass(frozen=True)
class Plan:
    """Ask `plan` whether anything is due."""


@dataclass(frozen=True)
class Start:
    """Start a run. seen_end: the run of the same inputs whose end was seen; "" where there was none."""

    seen_end: str


@dataclass(frozen=True)
class Wait:
    """Do nothing now; look again after so many seconds."""

    seconds: float


Action = Adopt | Unpin | Restore | Approve | Plan | Start | Wait


def decide(facts: Facts, *, now: float, at: str) -> Action:
    """Return what is to be done next.

    Args:
        facts: what is known.
        now: the time, in seconds since 1970.
        at: the same time, as documents show it.

    Returns:
        The next action; Wait where nothing is to be done now.
    """
    intent = facts.intent
    if facts.other:
        return Wait(IDLE)
    adopted = _adopted(facts, at, now)
    if intent is None or adopted != intent:
        return Adopt(adopted)
    if intent.unpin is not None:
        return Unpin(intent.unpin)
    if intent.restore is not None:
        return Restore(intent.restore)
    if intent.approve and not (intent.refused and intent.refused_at == facts.channel.revision):
        return Approve(intent.approve)
    if facts.earlier is not None:
        return Wait(FOLLOW)
    taken = taken_now(facts, now=now)
    if taken != intent.taken:
        return Adopt(intent.model_copy(update={"taken": taken}))
    action = _run(facts, intent, now)
    held = hold(facts, now) if facts.fresh else drift_hold(facts, now) if drifted(facts) else None
    return Wait(min(action.seconds, max(1.0, held.seconds))) if isinstance(action, Wait) and held else action


def _run(facts: Facts, intent: Intent, now: float) -> Action:
    """Return what is to be done about a run of the present inputs."""
    if facts.claim is None:
        if intent.settled == facts.inputs:
            return Wait(IDLE)
        ordered = intent.taken is not None and intent.taken.spent is not None  # by new articles or drift
        if facts.due is None and not ordered:
            return Plan()
        if not facts.due and not ordered:
            return Adopt(intent.model_copy(update={"settled": facts.inputs}))
        return _start(facts, intent, "")
    if facts.run is None:
        return _start(facts, intent, facts.claim.run)  # claimed, and not yet begun: whoever did that may be gone
    if facts.run.outcome == "running":
        return Wait(FOLLOW)
    seconds = retry_in(facts, facts.run, now)
    if seconds is None:
        return Wait(IDLE)
    return Wait(min(seconds, IDLE)) if seconds > 0 else _start(facts, intent, facts.run.id)


def _start(facts: Facts, intent: Intent, seen_end: str) -> Action:
    """Return the start of a run, which is noted first, so that a later spec waits for its end; none that pays unasked."""
    if facts.unpaid and facts.due is None:
        return Plan()
    if unpaid(facts):
        return Wait(IDLE)
    if intent.started != facts.inputs:
        return Adopt(intent.model_copy(update={"started": facts.inputs}))
    return Start(seen_end)


def unpaid(facts: Facts) -> bool:
    """True if a run would pay for labels, and nobody has said how much it may.

    Args:
        facts: what is known, with what is due.

    Returns:
        Whether no run is started for that.
    """
    return bool(facts.unpaid) and not PAYING.isdisjoint(facts.due or ())


def retry_in(facts: Facts, run: RunSeen, now: float) -> float | None:
    """Return after how many seconds a run that has ended is to be started again.

    Args:
        facts: what is known.
        run: the run, which has ended.
        now: the time, in seconds since 1970.

    Returns:
        Seconds, 0 for at once; None where it is not: the gates have spoken, or somebody must mend or say something first.
    """
    if over_budget(facts):
        return None
    if run.outcome in ("stopped", "fault", "superseded"):
        attempt = facts.claim.attempt if facts.claim else 0
        pause = min(BACKOFF[0] * 2.0 ** min(attempt, 20), BACKOFF[1])
        since = run.finished if run.finished is not None else facts.claim.at if facts.claim else now
        return max(0.0, since + pause - now)
    if run.outcome in ("waiting", "input"):
        return 0.0 if facts.calibrated else None
    if run.outcome == "pinned":
        held = facts.channel.pin or facts.channel.block_of(run.adapter) or facts.channel.adapter == run.adapter
        return None if held else 0.0
    return None


def _adopted(facts: Facts, at: str, now: float) -> Intent:
    """Return the intent that goes with what the object asks for now: the present one where nothing has changed."""
    wanted, before, channel = facts.wanted, facts.intent, facts.channel
    if before is None:
        waits = bool(wanted.approved) and any(row.adapter.startswith(wanted.approved) for row in channel.candidates)
        return Intent(
            object=wanted.object,
            at=at,
            filter=wanted.key,
            settings=wanted.settings,
            approved=wanted.approved,
            approve=wanted.approved if waits else "",
            taken=by_commit(facts, relabels=True, now=now),
        )
    named = bool(wanted.approved) and wanted.approved != before.approved
    moved = bool(facts.changed) or wanted.settings != before.settings
    update: dict[str, object] = {}
    if before.withdrawn or before.object != wanted.object:
        update = {"withdrawn": False, "object": wanted.object}
    if moved or named:
        update |= {"filter": wanted.key, "settings": wanted.settings, "unpin": channel.pin}
    if moved:
        relabels = "label" in facts.changed or wanted.settings != before.settings
        update["taken"] = by_commit(facts, relabels=relabels, now=now)
        if facts.served and facts.listing and facts.claim is None and update["taken"] == before.taken:
            update["settled"] = facts.inputs  # articles have come since that adapter was made: they wait for their limits
    if facts.changed:
        update["restore"] = facts.served if facts.served and facts.served != channel.adapter else None
    if wanted.approved != before.approved:
        update |= {"approved": wanted.approved, "approve": wanted.approved, "refused": "", "refused_at": 0}
    if not update:
        return _done(before, facts).model_copy(update={"filter": wanted.key})
    return before.model_copy(update={**update, "at": at})


def _done(intent: Intent, facts: Facts) -> Intent:
    """Return the intent without what is done, or was overtaken by a person's word since."""
    channel, update = facts.channel, dict[str, object]()
    if intent.unpin is not None and channel.pin != intent.unpin:
        update["unpin"] = None
    pinned_since = channel.pin is not None and channel.pin != intent.unpin
    if intent.restore is not None and (channel.adapter == intent.restore or pinned_since):
        update["restore"] = None
    if intent.approve and channel.adapter and channel.adapter.startswith(intent.approve):
        update |= {"approve": "", "refused": "", "refused_at": 0}
    return intent.model_copy(update=update) if update else intent
