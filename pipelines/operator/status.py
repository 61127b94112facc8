"""What a Filter object's status says: columns, conditions, and the events that tell of what changed.

`Ready` is true where the channel serves what this spec asks for. `Reconciling` and `Stalled` are there only while they are
true, as kstatus has it, so Flux and Argo CD tell progress from an end that somebody must look at. `Drifted` is what the last
look at the scores of the serving adapter says (`distillery drift`, or a Scoring's pass); where nobody looked, it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from distillery.pipelines.operator.decide import retry_in, unpaid
from distillery.pipelines.operator.facts import FINAL, Facts, RunSeen
from distillery.pipelines.operator.retrain import at_rest, drift_hold, drifted, hold, over_budget

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
LONGEST: Final = 1000  # characters of a message
KEPT: Final = ("Drifted",)  # conditions that others may write, too
DRIFT: Final = ("ScoresDrifted", "ScoresSteady")  # reasons of Drifted that are ours
TOLD: Final = (
    *("Valid", "Calibrated", "Labeled", "Trained", "Judged", "Promoted", "AwaitingApproval"),
    *("Pinned", "NewArticles", "Drifted", "Ready"),
)
QUIET: Final = ("Nothing", "NotPinned", "ScoresSteady", "AllTaken")  # reasons that are no news of an object that is new
WARN: Final = frozenset(
    {"Invalid", "Failed", "Rejected", "NoBudget", "BudgetReached", "BadInput", "ApprovalRefused", "Fault", "Stopped"}
    | {"ScoresDrifted"}
)


class Condition(NamedTuple):
    """A condition: whether it holds, one word why, one sentence why."""

    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Trouble:
    """What kept a pass from its end.

    Attributes:
        reason: one word.
        message: one sentence.
        invalid: True where the object itself is at fault.
        input: True where somebody must mend what the object names.
    """

    reason: str
    message: str
    invalid: bool = False
    input: bool = False


class Told(NamedTuple):
    """An event: of a transition, for people. kind: Normal or Warning."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def status_of(
    before: Mapping[str, Any],
    generation: int,
    facts: Facts | None,
    trouble: Trouble | None,
    *,
    now: float,
    at: str,
) -> dict[str, Any]:
    """Return the status of an object.

    Args:
        before: its status as it is, of any form.
        generation: of the object.
        facts: what is known; None where the pass did not come so far.
        trouble: what kept the pass from its end; None where nothing did.
        now: the time, in seconds since 1970.
        at: the same time, as documents show it.

    Returns:
        The whole status; equal to `before` where nothing has changed.
    """
    found = _conditions(facts, trouble, now)
    drift = facts.drift if facts else None
    if facts and drift is not None and drift.status != UNKNOWN:
        found["Drifted"] = Condition(drift.status, drift.reason, f"{drift.message}{_of_drift(facts, now)}")
    if facts is None:  # nothing is known of the rest: it stays as it was
        kept = {
            kind: row for kind, row in _rows(before).items() if kind not in found and kind not in ("Reconciling", "Stalled")
        }
    else:
        ours = DRIFT if drift is not None else ()  # of an adapter that serves no more
        kept = {kind: row for kind, row in _rows(before).items() if kind in KEPT and kind not in found}
        kept = {kind: row for kind, row in kept.items() if row.get("reason") not in ours}
    rows = [*kept.values(), *(_row(kind, one, _rows(before).get(kind), generation, at) for kind, one in found.items())]
    columns = _columns(facts) if facts else {key: before[key] for key in COLUMNS if key in before and _plain(before[key])}
    return {
        "observedGeneration": generation,
        "phase": _phase(facts, trouble, found),
        **columns,
        "conditions": sorted(rows, key=lambda row: _order(row["type"])),
    }


def condition_rows(before: Mapping[str, Any], found: Mapping[str, Condition], generation: int, at: str) -> list[dict[str, Any]]:
    """Return conditions as a status has them; one that holds as before keeps the time of its last change.

    Args:
        before: the status as it is, of any form.
        found: the conditions, by type.
        generation: of the object.
        at: the time, as documents show it.

    Returns:
        Rows, in the order in which people read them.
    """
    old = _rows(before)
    rows = [_row(kind, one, old.get(kind), generation, at) for kind, one in found.items()]
    return sorted(rows, key=lambda row: _order(row["type"]))


COLUMNS: Final = ("mae", "verdict", "digest", "adapter", "run", "report", "usd", "newArticles")


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | Mapping)


def _order(kind: str) -> tuple[int, str]:
    return (TOLD.index(kind) if kind in TOLD else len(TOLD), kind)


def _rows(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the conditions of a status that anybody may have written, by type."""
    rows = status.get("conditions")
    usable = (
        [row for row in rows if isinstance(row, dict) and isinstance(row.get("type"), str)] if isinstance(rows, list) else []
    )
    return {row["type"]: row for row in usable}


def _row(kind: str, one: Condition, before: Mapping[str, Any] | None, generation: int, at: str) -> dict[str, Any]:
    same = before is not None and before.get("status") == one.status and isinstance(before.get("lastTransitionTime"), str)
    return {
        "type": kind,
        "status": one.status,
        "reason": one.reason,
        "message": one.message[:LONGEST],
        "lastTransitionTime": before["lastTransitionTime"] if same and before else at,
        "observedGeneration": generation,
    }


def _columns(facts: Facts) -> dict[str, Any]:
    """Return what `kubectl get filters` and `describe` show beside the conditions."""
    run = facts.shown
    shown: dict[str, Any] = {"digest": facts.channel.adapter or ""}
    if facts.listing:
        shown["newArticles"] = facts.fresh.articles if facts.fresh else 0
    if run:
        shown |= {
            "mae": None if run.mae is None else round(run.mae, 3),
            "verdict": VERDICTS.get(run.decision, ""),
            "adapter": run.adapter,
            "report": run.report,
        }
        shown |= {"usd": run.usd, "run": {"id": run.id, **({"page": run.page} if run.page else {})} if run.id else None}
    return {key: value for key, value in shown.items() if value not in (None, "")}


VERDICTS: Final = {"promote": "passed", "approve": "passed", "reject": "rejected"}


def _phase(facts: Facts | None, trouble: Trouble | None, found: Mapping[str, Condition]) -> str:
    """Return where the loop stands, in one word."""
    ready = found["Ready"]
    return "Promoted" if ready.status == TRUE else ready.reason


def _conditions(facts: Facts | None, trouble: Trouble | None, now: float) -> dict[str, Condition]:
    if facts is None:
        assert trouble is not None
        valid = {"Valid": Condition(FALSE, trouble.reason, trouble.message)} if trouble.invalid else {}
        stalled = {"Stalled": Condition(TRUE, trouble.reason, trouble.message)} if trouble.invalid or trouble.input else {}
        ready = Condition(FALSE if stalled else UNKNOWN, trouble.reason, trouble.message)
        return {**valid, **stalled, "Ready": ready}
    found = {"Valid": Condition(TRUE, "Valid", "it passes every check"), **_steps(facts), **_channel(facts)}
    if facts.listing:
        found["NewArticles"] = _new_articles(facts, now)
    ready = _ready(facts, trouble, now)
    if ready.status != TRUE:
        found["Stalled" if ready.reason in STALLED else "Reconciling"] = Condition(TRUE, ready.reason, ready.message)
    return {**found, "Ready": ready}


# Reasons of Ready=False that somebody must do something about; all others end by themselves.
STALLED: Final = frozenset(
    {"Rejected", "BadInput", "Cancelled", "NoBudget", "AwaitingMarks", "AwaitingApproval", "Pinned", "Blocked", "NameTaken"}
    | {"ApprovalRefused", "NotPromoted", "BudgetReached"}
)


def _steps(facts: Facts) -> dict[str, Condition]:
    """Return what holds of the steps of the run."""
    run = facts.shown
    found: dict[str, Condition] = {}
    done = run.done if run else ()
    labelled_before = bool(facts.wanted.filter.spec.data.labels)
    if labelled_before:
        found["Calibrated"] = Condition(TRUE, "NotNeeded", "the object names labels, and no oracle is asked")
    elif run and run.uncalibrated and run.outcome in ("waiting", "input") and not facts.calibrated:
        page = f": mark the articles of {run.review}, then set spec.run.marks" if run.review else ""
        reason = "AwaitingMarks" if run.outcome == "waiting" else "Failed"
        found["Calibrated"] = Condition(FALSE, reason, f"{run.reason}{page}")
    elif run and ("calibrate" in done or "label" in done):
        found["Calibrated"] = Condition(TRUE, "Usable", "the rubric may be used with its oracle")
    else:
        found["Calibrated"] = Condition(UNKNOWN, "NotYet")
    if unpaid(facts):
        found["Labeled"] = Condition(FALSE, "NoBudget", f"{facts.unpaid}; set it to let a run begin")
    else:
        cost = f", for {run.usd:,.2f} US dollars in all" if run and run.usd is not None else ""
        found["Labeled"] = _done("label", run, f"the articles are labelled{cost}")
    adapter = f"adapter {run.adapter[:12]}" if run and run.adapter else "the adapter"
    found["Trained"] = _done("train", run, adapter)
    if run and run.decision:
        passed = run.decision != "reject"
        why = "it passes every gate" if passed else run.reason
        found["Judged"] = Condition(TRUE, "Passed" if passed else "Rejected", why)
    else:
        found["Judged"] = _done("gate", run, "")
    return found


def _done(step: str, run: RunSeen | None, message: str) -> Condition:
    if run and step in run.done:
        return Condition(TRUE, "Done", message)
    if run and run.step == step:
        return Condition(FALSE, "Failed", run.reason)
    return Condition(UNKNOWN, "Running" if run and run.outcome == "running" else "NotYet")


def _channel(facts: Facts) -> dict[str, Condition]:
    """Return what holds of the channel: what it serves, who is waited for, who has pinned it."""
    channel, intent, run = facts.channel, facts.intent, facts.shown
    found: dict[str, Condition] = {}
    if channel.adapter:
        newest = channel.history[0]
        by = f" by {newest.by}" if newest.by else ""
        here = run is not None and run.adapter == channel.adapter
        reason = "Serves" if here or (run and run.outcome not in FINAL) or run is None else "EarlierServes"
        found["Promoted"] = Condition(TRUE, reason, f"{channel.adapter[:12]} since {newest.at}{by}")
    else:
        found["Promoted"] = Condition(FALSE, "Nothing", "nothing was promoted yet")
    waiting = [row for row in channel.candidates if run and row.adapter == run.adapter]
    if intent and intent.refused:
        found["AwaitingApproval"] = Condition(TRUE, "ApprovalRefused", intent.refused)
    elif waiting and run and run.decision == "approve":  # not where a pin alone holds it
        digest = waiting[0].adapter
        how = f"set spec.promotion.approved: {digest}, or `distillery approve {facts.wanted.name} {digest[:12]} --reason …`"
        report = f"; its report: {run.report}" if run and run.report else ""
        found["AwaitingApproval"] = Condition(TRUE, "Candidate", f"{digest} passed every gate and waits: {how}{report}")
    else:
        found["AwaitingApproval"] = Condition(FALSE, "Nothing")
    if channel.pin:
        words = f" ({channel.pin.reason})" if channel.pin.reason else ""
        who = f"by {channel.pin.by or 'somebody'} at {channel.pin.at}{words}"
        lifts = f"a change of the spec or `distillery unpin {facts.wanted.name}` lifts that"
        found["Pinned"] = Condition(TRUE, "ByHand", f"{who}; {lifts}")
    else:
        found["Pinned"] = Condition(FALSE, "NotPinned")
    return found


def _new_articles(facts: Facts, now: float) -> Condition:
    """Return whether articles have come that no run is of, and what they wait for."""
    if facts.run and facts.run.outcome == "running":
        return Condition(UNKNOWN, "Running", "what has come meanwhile is counted when the run has ended")
    if facts.fresh is None:
        return Condition(FALSE, "AllTaken", "the last run was of all articles that are there")
    if not at_rest(facts):
        return Condition(TRUE, "Later", f"{facts.fresh.why or facts.fresh.words}; first comes the run that is due")
    held = hold(facts, now)
    return Condition(TRUE, held.reason, held.message) if held else Condition(TRUE, "Due", facts.fresh.words)


def _of_drift(facts: Facts, now: float) -> str:
    """Return what a drift has started, or why it has not, for its message."""
    retrain, taken = facts.wanted.retrain, facts.intent.taken if facts.intent else None
    if facts.drift is None or facts.drift.status != TRUE or retrain is None or retrain.onDrift != "retrain":
        return ""
    if not drifted(facts):
        return f"; ordered a run at {_at(taken.at)}" if taken and taken.drift else "; has ordered a run"
    held = drift_hold(facts, now)
    return f"; a run is ordered {'once the last one is at its end' if held is None else f'later: {held.message}'}"


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ready(facts: Facts, trouble: Trouble | None, now: float) -> Condition:
    """Return whether the channel serves what the spec asks for, and if not, what stands in the way."""
    run, channel, intent = facts.run, facts.channel, facts.intent
    if trouble:
        return Condition(FALSE if trouble.input else UNKNOWN, trouble.reason, trouble.message)
    if facts.other:
        return Condition(FALSE, "NameTaken", f"the channel {facts.wanted.name}/{facts.wanted.channel} is {facts.other}'s")
    if intent and intent.refused:
        return Condition(FALSE, "ApprovalRefused", intent.refused)
    if facts.earlier:
        return Condition(FALSE, "Running", f"run {facts.earlier.id} of the earlier spec goes on; the next one follows it")
    if unpaid(facts):
        return Condition(FALSE, "NoBudget", facts.unpaid)
    if run is None and facts.claim is None and intent and intent.settled == facts.inputs:
        return _served(facts, facts.last)
    if run is None:
        return Condition(FALSE, "Pending", "a run is about to begin")
    if run.outcome == "running":
        return Condition(FALSE, "Running", f"run {run.id}{f' ({run.page})' if run.page else ''}")
    if over_budget(facts):
        return Condition(FALSE, "BudgetReached", f"{run.reason}; raise spec.run.budget, or let new articles go on")
    if run.outcome in ("fault", "stopped", "superseded"):
        seconds = retry_in(facts, run, now) or 0.0
        attempt = (facts.claim.attempt if facts.claim else 0) + 1
        again = f"run {run.id}, attempt {attempt}, is tried again after a pause" if seconds else "it is tried again"
        return Condition(FALSE, "Retrying", f"{run.reason}; {again}")
    if run.outcome == "waiting":
        return Condition(FALSE, "AwaitingMarks", run.reason)
    if run.outcome == "input":
        return Condition(FALSE, "BadInput", run.reason)
    if run.outcome == "cancelled":
        return Condition(FALSE, "Cancelled", f"somebody ended run {run.id}; a change of the object starts another")
    if run.outcome == "rejected" and channel.adapter != run.adapter:
        return Condition(FALSE, "Rejected", run.reason)
    return _served(facts, run)


def _served(facts: Facts, run: RunSeen | None) -> Condition:
    """Return whether a run's adapter serves, and whose word stands against it if not."""
    channel = facts.channel
    if channel.adapter and (run is None or channel.adapter == run.adapter):
        return Condition(TRUE, "Promoted", f"{channel.adapter[:12]} serves on {facts.wanted.channel}")
    adapter = run.adapter if run else ""
    if channel.pin:
        return Condition(FALSE, "Pinned", f"{facts.wanted.channel} was pinned by {channel.pin.by or 'somebody'}")
    if block := channel.block_of(adapter):
        return Condition(FALSE, "Blocked", f"{adapter[:12]} was taken off by {block.by or 'somebody'} at {block.at}")
    if any(row.adapter == adapter for row in channel.candidates):
        return Condition(FALSE, "AwaitingApproval", f"{adapter[:12]} waits for approval")
    if run and run.decision == "reject":
        return Condition(FALSE, "Rejected", run.reason)
    serves = channel.adapter[:12] if channel.adapter else "nothing"
    return Condition(FALSE, "NotPromoted", f"{serves} serves on {facts.wanted.channel}, and not {adapter[:12]}")


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Told]:
    """Return an event for each condition that holds otherwise than before, or for another reason.

    Args:
        before: the status as it was, of any form.
        after: the status as it is to be.

    Returns:
        Events, in the order of the conditions; none for what only began to be unknown.
    """
    old, told = _rows(before), list[Told]()
    for kind, row in _rows(after).items():
        was = old.get(kind, {})
        same = (was.get("status"), was.get("reason")) == (row["status"], row["reason"])
        quiet = row["status"] == UNKNOWN and kind != "Ready"
        nothing = row["status"] == FALSE and row["reason"] in QUIET and kind not in old
        if kind not in TOLD or same or quiet or nothing:
            continue
        bad = row["reason"] in WARN or (kind == "Valid" and row["status"] != TRUE)
        word = row["reason"] if row["reason"] in WARN else f"{kind}{'' if row['status'] == TRUE else row['reason']}"
        told.append(Told("Warning" if bad else "Normal", word, row["message"]))
    return told
