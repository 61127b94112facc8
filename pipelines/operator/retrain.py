"""When articles that have come, or drift, start a run: worked out from facts alone, within the limits of `spec.retrain`.

A run is of all articles that are at their address when it is ordered: the intent names their listing, and the run is given it.
What comes later waits there until the limits let it in. Drift counts once: from when it is seen until the adapter's scores are
seen to be steady, or another adapter serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from distillery.components.artifacts.intent import Taken
from distillery.filters.cron import following
from distillery.pipelines.operator.facts import FINAL, Facts
from distillery.pipelines.operator.wanted import Wanted

REST: Final = (*FINAL, "cancelled")  # what a run came to that is not tried again by itself, and that other articles may change


@dataclass(frozen=True)
class Hold:
    """Why no run begins for what has come.

    Attributes:
        reason: one word.
        message: one sentence.
        seconds: after which it is to be looked at again.
    """

    reason: str
    message: str
    seconds: float = inf


def taken_now(facts: Facts, *, now: float) -> Taken | None:
    """Return which articles the object's runs are to be of now, and what orders the next run.

    Args:
        facts: what is known, with an intent.
        now: the time, in seconds since 1970.

    Returns:
        What the intent says already where nothing is ordered; None where the articles don't grow, and no drift counts.
    """
    assert facts.intent is not None
    taken, present = facts.intent.taken, _present(facts)
    if present and (taken is None or taken.data is None or taken.of != facts.articles):
        return Taken(of=facts.articles, data=present, at=now, drifted=taken.drifted if taken else None)
    if present and taken and present != taken.data and facts.anew:
        return taken.model_copy(update={"data": present})
    adapter, drift = facts.channel.adapter, facts.drift
    if taken and adapter and taken.drifted == adapter and drift is not None and drift.status == "False":
        return taken.model_copy(update={"drifted": None})
    if not at_rest(facts):
        return taken
    ordered = taken or Taken(at=now)
    spent = _spent(facts)
    if drifted(facts) and drift_hold(facts, now) is None:
        assert drift is not None
        return ordered.model_copy(update={"data": present, "at": now, "spent": spent, "drift": drift.job, "drifted": adapter})
    if facts.fresh and hold(facts, now) is None:
        return ordered.model_copy(update={"data": present, "at": now, "spent": spent, "drift": None})
    return taken


def by_commit(facts: Facts, *, relabels: bool, now: float) -> Taken | None:
    """Return which articles a run is of that a change of the object orders.

    A change that has articles labelled takes all that are there; any other one, and one that brings an earlier adapter back,
    keeps to those that the last run was of while they are there, so that it redoes no more than what it says.

    Args:
        facts: what is known.
        relabels: True if the change concerns labels, or what is paid for them.
        now: the time, in seconds since 1970.

    Returns:
        What the intent is to say; None where the articles don't grow, and no drift counts.
    """
    taken, present = facts.intent.taken if facts.intent else None, _present(facts)
    if present is None and taken is None:
        return None
    same = taken is not None and taken.of == facts.articles and not facts.anew
    if same and facts.served:
        return taken
    kept = same and not relabels and not facts.gone
    data = taken.data if taken and kept else present
    return Taken(of=facts.articles if data else "", data=data, at=now, drifted=taken.drifted if taken else None)


def drifted(facts: Facts) -> bool:
    """True if a drift was found for which the object asks for a run, and none was ordered yet.

    Args:
        facts: what is known.

    Returns:
        Whether a run is to be ordered.
    """
    retrain, taken = facts.wanted.retrain, facts.intent.taken if facts.intent else None
    if retrain is None or retrain.onDrift != "retrain" or facts.drift is None or facts.drift.status != "True":
        return False
    return taken is None or taken.drifted != facts.channel.adapter


def drift_hold(facts: Facts, now: float) -> Hold | None:
    """Return why a drift starts no run now.

    Args:
        facts: what is known.
        now: the time, in seconds since 1970.

    Returns:
        The reason; None where it starts one.
    """
    return _pinned(facts) or _unpaid(facts) or _too_soon(facts, now, scheduled=False)


def hold(facts: Facts, now: float) -> Hold | None:
    """Return why articles that have come start no run now.

    Args:
        facts: what is known, with what has come.
        now: the time, in seconds since 1970.

    Returns:
        The reason; None where they start one.
    """
    fresh, retrain = facts.fresh, facts.wanted.retrain
    assert fresh is not None
    if fresh.why:
        return Hold("Unreadable", f"new articles can't be counted: {fresh.why}")
    if retrain is None:
        return Hold("NotAsked", f"{fresh.words}; without spec.retrain they start no run")
    if not fresh.articles or fresh.articles < retrain.minNew:
        return Hold("TooFew", f"{fresh.articles:,} of {retrain.minNew:,} new articles")
    found = _pinned(facts) or _unpaid(facts) or _too_soon(facts, now, scheduled=True)
    return Hold(found.reason, f"{fresh.words}; {found.message}", found.seconds) if found else None


def budget_of(wanted: Wanted, taken: Taken | None) -> float | None:
    """Return how many US dollars labels may cost once a run has ended, earlier runs included.

    Args:
        wanted: what the object asks for.
        taken: what ordered the run; None for a commit.

    Returns:
        The lower of `run.budget` and what `retrain.budget` adds to the cost so far; None where neither says a sum.
    """
    of_all, retrain = wanted.run.budget, wanted.retrain
    if taken is None or taken.spent is None or retrain is None or retrain.budget is None:
        return of_all
    own = taken.spent + retrain.budget
    return own if of_all is None else min(own, of_all)


def at_rest(facts: Facts) -> bool:
    """True if nothing goes on, and nothing is tried again by itself.

    Args:
        facts: what is known.

    Returns:
        Whether other articles may order a run.
    """
    if facts.claim is None:
        return facts.intent is not None and facts.intent.settled == facts.inputs
    return facts.run is not None and (facts.run.outcome in REST or over_budget(facts))


def over_budget(facts: Facts) -> bool:
    """True if the last run reached its budget, and the object allows no more by now.

    Args:
        facts: what is known.

    Returns:
        Whether it would stop again.
    """
    run, taken = facts.run, facts.intent.taken if facts.intent else None
    if run is None or run.outcome != "stopped" or run.limit is None:
        return False
    allowed = budget_of(facts.wanted, taken)
    return allowed is None or allowed <= run.limit


def _present(facts: Facts) -> str | None:
    return facts.listing.digest if facts.listing else None


def _pinned(facts: Facts) -> Hold | None:
    return Hold("Pinned", "the channel is pinned, so a run would promote nothing") if facts.channel.pin else None


def _spent(facts: Facts) -> float:
    """Return what labels have cost, in US dollars, as far as the last run tells: all of its budget where it reached that."""
    run = facts.shown
    return max((run.usd or 0.0) if run else 0.0, (run.limit or 0.0) if run else 0.0)


def _unpaid(facts: Facts) -> Hold | None:
    retrain, run = facts.wanted.retrain, facts.run
    if run is not None and run.limit is not None:
        allowed = budget_of(facts.wanted, Taken(at=0.0, spent=_spent(facts)))
        if allowed is None or allowed <= run.limit:
            return Hold("BudgetReached", f"the labels have cost the {run.limit:g} US dollars of spec.run.budget")
    if not facts.paid or facts.wanted.run.budget or (retrain and retrain.budget):
        return None
    return Hold("NoBudget", "labels are paid, and neither spec.run.budget nor spec.retrain.budget says how much they may cost")


def _too_soon(facts: Facts, now: float, *, scheduled: bool) -> Hold | None:
    """Return until when is waited: the end of the cool-down, or the first due moment since the last run began."""
    retrain, taken = facts.wanted.retrain, facts.intent.taken if facts.intent else None
    began = max([facts.claim.at if facts.claim else 0.0, taken.at if taken else 0.0])
    if retrain is None or not began:
        return None
    due, reason = began + retrain.pause, "CoolDown"
    if scheduled and retrain.schedule:
        moment = following(retrain.schedule, datetime.fromtimestamp(began, UTC))
        if moment and moment.timestamp() > due:
            due, reason = moment.timestamp(), "Scheduled"
    if now >= due:
        return None
    return Hold(reason, f"not before {datetime.fromtimestamp(due, UTC):%Y-%m-%dT%H:%M:%SZ}", due - now)
