"""What a run does after its verdict: promote, hold for a person's approval, or reject.

Promotion goes by a verdict for exactly these bytes, under the gates as they are now, against the incumbent that serves
now, and only after the stored bundle was read back and reproduced its own golden predictions. That costs one load of
the student (seconds), and a bundle that can't be served is never pointed at. A run that was started for the Filter object of
a cluster promotes only what the object still asks for. Where a person has pinned the channel, has rolled it back from this
adapter, or has refused it, a run promotes nothing: it leaves a candidate, or its word. What a person orders is in `by_hand.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from distillery.components.artifacts.channel import Candidate, Channel, Entry, Pin, read_channel
from distillery.components.artifacts.filter import read_filter
from distillery.components.artifacts.intent import changed_steps, overruled
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import AGAIN, Verdict, read_verdict
from distillery.components.promotion.judge import rule_name
from distillery.components.promotion.move import Verify, change, changed, landed, reproduce, utc_now
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Json, NotFound, Store, StoreError, as_digest, not_read
from distillery.components.store.layout import adapters_folder, channel_key
from distillery.filters.digests import step_digest
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

__all__ = ["hold", "moved_record", "passing", "promote", "reject", "verified", "why_held"]


def promote(
    store: Store,
    flt: Filter,
    *,
    verdict: str,
    filter_key: str = "",
    run: str = "",
    progress: Progress = quiet,
    verify: Verify | None = None,
) -> StepRecord:
    """Point the filter's channel at the adapter that a verdict let through, unless a person has said otherwise.

    Promoting what serves already changes nothing, unless the filter has other tiers, caps or gates than the one by which it
    serves. Then it serves by this one, which is a move of its own.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        verdict: digest of the verdict.
        filter_key: key of the published filter, kept with the entry.
        run: name of the run, kept with the entry.
        progress: tells how far it is.
        verify: reads the stored bundle back and scores its golden texts; None for `move.reproduce`.

    Returns:
        The record, with outputs {"adapter", "channel", "previous", "promoted"}; where a person's word holds the adapter back,
        "promoted" is None and "held" says why, as `why_held` does.

    Raises:
        InputError: the verdict does not pass, or was reached under other gates or against another incumbent; the bundle was
            altered; or another process changed the channel meanwhile.
    """
    judged = passing(store, flt, verdict)
    adapter, channel = as_digest(judged.adapter), flt.spec.promotion.channel
    if judged.decision != "promote":
        hint = f"approve it: {approve_command(flt.name, adapter, channel)}"
        raise InputError("the candidate waits for approval", where=f"verdict {verdict[:12]}", hint=hint)
    before = read_channel(store, flt.name, channel, lenient=True).channel
    if before.adapter == adapter:
        store.folder(adapters_folder(flt.name), adapter).verify()
        after = _under(store, flt, before, verdict, filter_key, run)
        said = "points at" if after is before else "serves by this filter now:"
        progress.note(f"{flt.name}/{channel} {said} {adapter[:12]}" + (" already" if after is before else ""))
        return moved_record(flt, verdict, after)
    if late := overruled(store, flt):
        progress.note(held_sentence(flt.name, channel, adapter, late))
        return _held_record("promote", flt, verdict, adapter, late)
    candidate = Candidate(adapter=adapter, verdict=verdict, filter=filter_key, run=run, at=utc_now())
    if not why_held(before, adapter):
        if judged.incumbent != before.adapter:
            raise changed(flt.name, channel, before.adapter)
        verified(store, flt, adapter, verify, progress)
    entry = Entry(
        adapter=adapter, verdict=verdict, filter=filter_key, action="promote", at=utc_now(), by=f"run {run}" if run else ""
    )

    def work(now: Channel) -> Channel | None:
        if now.adapter == adapter or landed(entry, before, now):
            return None
        if why_held(now, adapter):
            return None if now.block_of(adapter) else now.with_candidate(candidate)
        if judged.incumbent != now.adapter:
            raise changed(flt.name, channel, now.adapter)
        return now.moved(entry)

    after = change(store, flt.name, channel, work)
    held = None if after.adapter == adapter or landed(entry, before, after) else why_held(after, adapter)
    if held:
        progress.note(held_sentence(flt.name, channel, adapter, held))
        return _held_record("promote", flt, verdict, adapter, held)
    progress.note(f"{flt.name}/{channel} points at {adapter[:12]}")
    return moved_record(flt, verdict, after)


def _under(store: Store, flt: Filter, before: Channel, verdict: str, filter_key: str, run: str) -> Channel:
    """Let the adapter that serves go on by the filter as it is now, if a step reads another thing of it.

    A pinned channel stays as it is: its filter is a person's word, too.

    Args:
        store: where the channel is.
        flt: the filter as it is now.
        before: the channel.
        verdict: digest of the verdict on the adapter under this filter.
        filter_key: key of the published filter; empty where it is not.
        run: name of the run.

    Returns:
        The channel afterwards; `before` itself where nothing changes.
    """
    now = before.current
    if now is None or before.pin or not filter_key or now.filter == filter_key:
        return before
    try:
        if not changed_steps(read_filter(store, now.filter), flt):
            return before
    except (NotFound, InputError) as error:
        if isinstance(error, StoreError) and not_read(error):
            raise
        # gone, or of another program: nobody knows by what it serves
    by = f"run {run}" if run else ""
    entry = Entry(adapter=now.adapter, verdict=verdict, filter=filter_key, action="promote", at=utc_now(), by=by)

    def work(channel: Channel) -> Channel | None:
        if landed(entry, before, channel):
            return None
        if channel.history != before.history or channel.pin:
            raise changed(flt.name, flt.spec.promotion.channel, channel.adapter)
        return channel.moved(entry)

    return change(store, flt.name, flt.spec.promotion.channel, work)


def verified(store: Store, flt: Filter, adapter: Digest, verify: Verify | None, progress: Progress) -> None:
    """Read the stored bundle back and score its golden texts; raise InputError where it is not what it was.

    Args:
        store: where the bundle is.
        flt: the filter.
        adapter: digest of the adapter.
        verify: does it; None for `move.reproduce`.
        progress: told how near the scores come.
    """
    difference = (verify or partial(reproduce, student=flt.spec.student))(store, flt.name, adapter)
    if isinstance(difference, float):
        progress.note(f"the stored bundle reproduces its golden predictions (within {difference:.2g} points)")


def why_held(channel: Channel, adapter: str) -> dict[str, str] | None:
    """Return the person's word that keeps a run from promoting an adapter.

    Args:
        channel: as it is now.
        adapter: digest of the adapter.

    Returns:
        {"why": "pinned" | "blocked" | "refused", "by", "at", "reason"}; None where the adapter may be promoted.
    """
    block = channel.block_of(adapter)
    word: Pin | None = block or channel.pin
    if word is None:
        return None
    why = "pinned" if block is None else "refused" if block.refused else "blocked"
    return {"why": why, "by": word.by, "at": word.at, "reason": word.reason}


def held_sentence(name: str, channel: str, adapter: str, held: dict[str, str]) -> str:
    """Return why an adapter is not promoted though it passed its gates, and what lifts that.

    Args:
        name: of the filter.
        channel: name of the channel.
        adapter: digest of the adapter.
        held: what `why_held` returned.

    Returns:
        One line.
    """
    who = f"by {held['by'] or 'somebody'} at {held['at']}" + (f": {held['reason']}" if held["reason"] else "")
    words = {
        "superseded": f"its run was started for {name}/{channel} as it was before, which was changed",
        "pinned": f"{name}/{channel} was pinned",
        "blocked": f"{name}/{channel} was rolled back from it",
        "refused": f"it was refused for {name}/{channel}",
    }
    lifts = f"`distillery promote {adapter[:12]} --to {channel} --reason …` lifts that"
    if held["why"] == "superseded":
        lifts = "its labels and the adapter are kept"
    if held["why"] == "pinned":
        lifts = f"`distillery unpin {name} --channel {channel}` or {lifts}"
    return f"{adapter[:12]} is not promoted: {words[held['why']]} {who}; {lifts}"


def approve_command(name: str, adapter: str, channel: str) -> str:
    """Return the command that approves a candidate.

    Args:
        name: of the filter.
        adapter: digest of the adapter.
        channel: name of the channel.

    Returns:
        The line to type; its reason is left to the person.
    """
    return f"distillery approve {name} {adapter[:12]} --channel {channel} --reason …"


def moved_record(flt: Filter, verdict: str, channel: Channel, *, step: str = "promote") -> StepRecord:
    """Return the record of a promotion.

    Args:
        flt: the filter, with the channel's name.
        verdict: digest of the verdict.
        channel: as it is after the promotion.
        step: name of the step that found it done.

    Returns:
        A record with outputs {"adapter", "channel", "previous", "promoted"}.
    """
    previous = next((entry.adapter for entry in channel.history if entry.adapter != channel.adapter), None)
    told: dict[str, Json] = {"adapter": channel.adapter, "channel": flt.spec.promotion.channel, "previous": previous}
    return _record(step, flt, verdict, {**told, "promoted": told})


def _held_record(step: str, flt: Filter, verdict: str, adapter: str, held: dict[str, str]) -> StepRecord:
    told = {"adapter": adapter, "channel": flt.spec.promotion.channel, "promoted": None, "held": held}
    return _record(step, flt, verdict, told)


def hold(
    store: Store, flt: Filter, *, verdict: str, filter_key: str = "", run: str = "", progress: Progress = quiet
) -> StepRecord:
    """Add the adapter that passed to the candidates that wait for `approve`; candidates that wait already stay.

    What serves already waits for nobody, and is told as promoted.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as it is now.
        verdict: digest of the verdict.
        filter_key: key of the published filter.
        run: name of the run, which has the candidate's report.
        progress: tells how far it is.

    Returns:
        The record, with outputs {"adapter", "channel", "candidate": key of the channel}; where the channel was rolled back from
        this adapter, or a person refused it, it is no candidate, and "held" says so as in `promote`.

    Raises:
        InputError: the verdict does not pass, or was reached under other gates.
    """
    judged = passing(store, flt, verdict)
    channel = flt.spec.promotion.channel
    candidate = Candidate(adapter=judged.adapter, verdict=verdict, filter=filter_key, run=run, at=utc_now())

    def work(now: Channel) -> Channel | None:
        settled = now.adapter == candidate.adapter or now.block_of(candidate.adapter)
        return None if settled else now.with_candidate(candidate)

    after = change(store, flt.name, channel, work)
    if after.adapter == candidate.adapter:
        store.folder(adapters_folder(flt.name), as_digest(candidate.adapter)).verify()
        progress.note(f"{flt.name}/{channel} points at {candidate.adapter[:12]} already")
        return moved_record(flt, verdict, after, step="hold")
    if after.block_of(candidate.adapter) and (held := why_held(after, candidate.adapter)):
        progress.note(held_sentence(flt.name, channel, candidate.adapter, held))
        return _held_record("hold", flt, verdict, candidate.adapter, held)
    progress.note(f"{candidate.adapter[:12]} waits for approval: {approve_command(flt.name, candidate.adapter, channel)}")
    key = channel_key(flt.name, channel)
    return _record("hold", flt, verdict, {"adapter": candidate.adapter, "channel": channel, "candidate": key})


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
    inputs = {"filter": flt.name, "verdict": verdict}
    return StepRecord.of("reject", inputs, {"adapter": judged.adapter, "reasons": reasons}, [])


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


def _record(step: str, flt: Filter, verdict: str, outputs: dict[str, Any]) -> StepRecord:
    """Return a record that `run_step` does not keep, since a promotion is never reused."""
    channel = flt.spec.promotion.channel
    inputs = {"filter": flt.name, "verdict": verdict, "channel": channel}
    return StepRecord.of(step, inputs, outputs, [channel_key(flt.name, channel)])
