"""After a verdict: promote, hold for a person's approval, or reject.

Promotion goes by a verdict for exactly these bytes, under the gates as they are now, against the incumbent that serves
now, and only after the stored bundle was read back and reproduced its own golden predictions. That costs one load of
the student (seconds), and a bundle that can't be served is never pointed at.
"""

from __future__ import annotations

from distillery.components.artifacts.channel import Candidate, read_candidate
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import AGAIN, Verdict, read_verdict
from distillery.components.promotion.judge import Judge, judge_again, require_pass, rule_name
from distillery.components.promotion.move import (
    Entry,
    Pointer,
    Verify,
    changed,
    current,
    history,
    move,
    reproduce,
    rollback,
    utc_now,
)
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Json, Store, as_digest
from distillery.components.store.layout import adapters_folder, candidate_key, channel_key
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

__all__ = ["Pointer", "approve", "current", "history", "hold", "promote", "reject", "rollback"]


def promote(
    store: Store,
    flt: Filter,
    *,
    verdict: str,
    filter_key: str = "",
    progress: Progress = quiet,
    verify: Verify | None = None,
    approved: bool = False,
) -> StepRecord:
    """Point the filter's channel at the adapter that a verdict let through.

    Promoting what serves already changes nothing.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        verdict: digest of the verdict.
        filter_key: key of the published filter, kept with the entry.
        progress: tells how far it is.
        verify: reads the stored bundle back and scores its golden texts; None for `move.reproduce`.
        approved: True if a person approved a candidate whose filter requires it.

    Returns:
        The record, with outputs {"adapter", "channel", "previous", "promoted"}.

    Raises:
        InputError: the verdict does not pass, or was reached under other gates or against another incumbent; the bundle was
            altered; or another process changed the channel meanwhile.
    """
    judged = passing(store, flt, verdict)
    if judged.decision != "promote" and not approved:
        raise InputError(
            "the candidate waits for approval",
            where=f"verdict {verdict[:12]}",
            hint=f"approve it: distillery approve {flt.name}",
        )
    adapter, channel = as_digest(judged.adapter), flt.spec.promotion.channel
    before = current(store, flt.name, channel)
    if before is not None and before.adapter == adapter:
        store.folder(adapters_folder(flt.name), adapter).verify()
        progress.note(f"{flt.name}/{channel} points at {adapter[:12]} already")
        return _promoted(flt, verdict, before)
    if judged.incumbent != (before.adapter if before else None):
        raise changed(flt.name, channel, before)
    difference = (verify or reproduce)(store, flt.name, adapter)
    if isinstance(difference, float):
        progress.note(f"the stored bundle reproduces its golden predictions (within {difference:.2g} points)")
    after = move(store, flt.name, channel, before, _entry(adapter, verdict, filter_key))
    progress.note(f"{flt.name}/{channel} points at {adapter[:12]}")
    return _promoted(flt, verdict, after)


def _entry(adapter: str, verdict: str, filter_key: str) -> Entry:
    """Return the move that a promotion adds to the history."""
    return Entry(adapter=adapter, verdict=verdict, filter=filter_key, action="promote", at=utc_now())


def _promoted(flt: Filter, verdict: str, pointer: Pointer) -> StepRecord:
    """Return the record of a promotion."""
    channel = flt.spec.promotion.channel
    previous = next((e.adapter for e in pointer.history if e.adapter != pointer.adapter), None)
    told: dict[str, Json] = {"adapter": pointer.adapter, "channel": channel, "previous": previous}
    return _record(
        "promote",
        {"filter": flt.name, "verdict": verdict, "channel": channel},
        {**told, "promoted": told},
        [channel_key(flt.name, channel)],
    )


def hold(store: Store, flt: Filter, *, verdict: str, filter_key: str = "", progress: Progress = quiet) -> StepRecord:
    """Record the adapter that passed as the candidate that waits for `approve`; it replaces an earlier candidate.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        verdict: digest of the verdict.
        filter_key: key of the published filter, by which the candidate will be promoted.
        progress: tells how far it is.

    Returns:
        The record, with outputs {"adapter", "candidate": key}.

    Raises:
        InputError: the verdict does not pass, or was reached under other gates.
    """
    judged = passing(store, flt, verdict)
    key = candidate_key(flt.name, flt.spec.promotion.channel)
    Candidate(adapter=judged.adapter, verdict=verdict, filter=filter_key).put(store, key)
    progress.note(f"{judged.adapter[:12]} waits for approval: distillery approve {flt.name}")
    return _record("hold", {"filter": flt.name, "verdict": verdict}, {"adapter": judged.adapter, "candidate": key}, [key])


def approve(
    store: Store,
    flt: Filter,
    *,
    progress: Progress = quiet,
    judge: Judge = judge_again,
    verify: Verify | None = None,
) -> StepRecord:
    """Judge the candidate that waits by the gates as they are now, and promote it as `promote` does.

    Args:
        store: where channel, candidate and bundle are.
        flt: the filter as it is now, which may have other gates than the one that the candidate was held under.
        progress: tells how far it is.
        judge: judges the candidate again.
        verify: reads the stored bundle back, as in `promote`.

    Returns:
        The record of the promotion.

    Raises:
        Rejected: the candidate fails a gate as it is now.
        InputError: no candidate waits, or it cannot be promoted.
    """
    channel = flt.spec.promotion.channel
    candidate = read_candidate(store, flt.name, channel)
    if candidate is None:
        hint = f"run distillery distill {flt.name}"
        raise InputError("no candidate waits for approval", where=f"{flt.name}/{channel}", hint=hint)
    verdict = judge(store, flt, candidate.adapter, progress)
    require_pass(store, flt, verdict)
    key = publish_filter(store, flt)
    return promote(store, flt, verdict=verdict, filter_key=key, progress=progress, verify=verify, approved=True)


def reject(store: Store, flt: Filter, *, verdict: str, progress: Progress = quiet) -> StepRecord:
    """Record why an adapter is not promoted; the channel stays as it is.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        verdict: digest of the verdict.
        progress: gets each reason as a line.

    Returns:
        The record, with outputs {"adapter", "reasons": one line for each rule that fails}.

    Raises:
        InputError: there is no such verdict.
    """
    judged = read_verdict(store, flt.name, verdict)
    reasons = [f"{rule_name(rule)}: {rule.reason}" for rule in judged.rules if rule.verdict == "fail"]
    for reason in reasons:
        progress.note(reason)
    return _record("reject", {"filter": flt.name, "verdict": verdict}, {"adapter": judged.adapter, "reasons": reasons}, [])


def passing(store: Store, flt: Filter, digest: str) -> Verdict:
    """Return a verdict that passes and is of this filter and its gates as they are now.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        digest: digest of the verdict.

    Returns:
        The verdict.

    Raises:
        InputError: it does not pass, or it is of another filter or other gates.
    """
    judged, where = read_verdict(store, flt.name, digest), f"verdict {digest[:12]}"
    if judged.filter != flt.name:
        raise InputError(f"it judges {judged.filter[:60]}, not {flt.name}", where=where, hint=AGAIN)
    if not judged.passed or judged.decision == "reject":
        raise InputError("it doesn't pass, so nothing may be promoted by it", where=where, hint="see the report")
    if judged.policy != step_digest(flt, "gate"):
        raise InputError("it was reached under other gates than the filter has now", where=where, hint=AGAIN)
    return judged


def _record(step: str, inputs: dict[str, Json], outputs: dict[str, Json], keys: list[str]) -> StepRecord:
    """Return a record that `run_step` does not keep, since a promotion is never reused."""
    return StepRecord.of(step, inputs, outputs, keys)
