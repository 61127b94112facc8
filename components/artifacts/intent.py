"""What the Filter object of a cluster asks of a channel, as the operator last saw it.

It outlives the operator, the object's status and the object: so a change of the spec is told from a restart, a revert from a
first sight, and a run that was started for an earlier spec promotes nothing. Only the operator writes it, by conditional put;
the last step of a run reads it.
"""

from __future__ import annotations

from typing import Literal

from distillery.components.artifacts.channel import Pin, Words
from distillery.components.artifacts.document import Document, Sha256
from distillery.components.artifacts.filter import read_filter
from distillery.components.store import Store
from distillery.components.store.layout import intent_key
from distillery.filters.digests import step_digest
from distillery.filters.filter import Filter
from distillery.filters.steps import STEPS, Step

JUDGED: tuple[Step, ...] = tuple(step for step in STEPS if step != "promote")


class Taken(Document):
    """Which articles the runs of an object are of, where they lie below a prefix that grows, and what ordered the last run.

    Attributes:
        of: address of the articles; "" where they don't grow.
        data: digest of their listing; None where they don't grow.
        at: when they were taken, in seconds since 1970.
        spent: US dollars that labels had cost when new articles or drift ordered a run; None where a commit did.
        drift: digest of the scoring job whose drift ordered it; None where that was something else.
        drifted: the adapter whose drift has ordered a run, until it is seen to be steady.
    """

    of: str = ""
    data: Sha256 | None = None
    at: float
    spent: float | None = None
    drift: Sha256 | None = None
    drifted: Sha256 | None = None


class Intent(Document):
    """What a Filter object asks for, and what of that is still to be done.

    Attributes:
        object: the object, as "namespace/name".
        at: UTC time at which it began to ask for this, for people.
        filter: key of the filter that it asks for, as published.
        settings: digest of its `spec.run`.
        approved: its `spec.promotion.approved`; "" where it names none.
        withdrawn: True where the object was deleted.
        unpin: a pin that the change of the spec lifts, until that is done.
        restore: the adapter that served under this spec before, until it serves again.
        approve: what `approved` is still to do; "" where it is done.
        refused: why `approve` was refused.
        refused_at: revision of the channel that it was refused at.
        started: inputs of the last run that was started for the object.
        settled: inputs for which nothing was due, so that no run was started.
        taken: which articles its runs are of; None where that is what lies at their address.
    """

    OMITTED = ("taken",)

    KIND = "what a Filter object asks for"
    HINT = "delete it: the operator then takes the object as it is, and lifts no pin"

    format: Literal[1] = 1
    object: str
    at: str
    filter: str
    settings: Sha256
    approved: str = ""
    withdrawn: bool = False
    unpin: Pin | None = None
    restore: Sha256 | None = None
    approve: str = ""
    refused: Words = ""
    refused_at: int = 0
    started: Sha256 | None = None
    settled: Sha256 | None = None
    taken: Taken | None = None


def read_intent(store: Store, name: str, channel: str) -> tuple[Intent, str] | None:
    """Return what a Filter object asks of a channel.

    Args:
        store: where it is.
        name: of the filter.
        channel: name of the channel.

    Returns:
        The intent, and what a conditional put compares; None where no object asks anything.

    Raises:
        StoreError: it cannot be read.
    """
    return Intent.versioned(store, intent_key(name, channel))


def changed_steps(before: Filter, now: Filter) -> list[str]:
    """Return the steps whose part of the filter differs, by the digests of this program.

    Args:
        before: one filter.
        now: another one.

    Returns:
        Names of steps, in order; the promotion is none of them.
    """
    return [step for step in JUDGED if step_digest(before, step) != step_digest(now, step)]


def overruled(store: Store, flt: Filter) -> dict[str, str] | None:
    """Return why a run that was started for a Filter object promotes nothing: the object changed, or is gone.

    Args:
        store: where the object's intent is.
        flt: the run's filter, which has the object's namespace; one that has none is of no object.

    Returns:
        {"why": "superseded", "by", "at", "reason"}; None where the run may promote.

    Raises:
        StoreError: the intent cannot be read.
    """
    present = read_intent(store, flt.name, flt.spec.promotion.channel) if flt.metadata.namespace else None
    if present is None or present[0].object != object_name(flt):
        return None
    intent = present[0]
    said = {"why": "superseded", "by": f"the Filter object {intent.object}", "at": intent.at}
    if intent.withdrawn:
        return {**said, "reason": "it was deleted"}
    if changed := changed_steps(flt, read_filter(store, intent.filter)):
        return {**said, "reason": f"it asks for something else by now: {', '.join(changed)}"}
    return None


def object_name(flt: Filter) -> str:
    """Return how a filter's object is called in its cluster.

    Args:
        flt: the filter, with its namespace.

    Returns:
        "namespace/name".
    """
    return f"{flt.metadata.namespace}/{flt.name}"
