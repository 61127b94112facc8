"""What a person orders: approve or refuse a candidate, promote an adapter by name, roll a channel back, end its pin.

Each names what it moves by digest, and is kept in the channel's history with who, when and why. What was promoted by hand was
judged again by the filter as it is now; a rollback is not, since it is how one gets out of trouble: verified bytes and
reproduced golden predictions are enough for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from distillery.components.artifacts.channel import (
    MAX_WORDS,
    Block,
    Channel,
    Entry,
    Pin,
    Pointer,
    read_channel,
    without,
)
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.artifacts.verdict import Verdict
from distillery.components.promotion.judge import Judge, judge_again, require_pass
from distillery.components.promotion.move import Verify, change, changed, landed, reproduce, utc_now
from distillery.components.promotion.promote import held_sentence, moved_record, verified, why_held
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, Store, as_digest
from distillery.filters.errors import InputError, Waiting, one_line
from distillery.filters.filter import Filter

SHORTEST = 8  # hexadecimal digits of a digest that name an adapter


class Said(NamedTuple):
    """Who orders something, and why. reason: "" where none is given."""

    by: str
    reason: str

    @classmethod
    def of(cls, by: str, reason: str) -> Said:
        """Return both on one line each, as long as a channel keeps them.

        Args:
            by: a name.
            reason: why.

        Returns:
            Both, without spaces around them.

        Raises:
            InputError: the name is empty, or one of them is too long.
        """
        said = cls(one_line(by).strip(), one_line(reason).strip())
        if not said.by:
            raise InputError("is empty", where="--as", hint="give your name")
        for where, text in (("--as", said.by), ("--reason", said.reason)):
            if len(text) > MAX_WORDS:
                raise InputError(f"has {len(text):,} characters", where=where, hint=f"say it in {MAX_WORDS}")
        return said


NOBODY = Said("", "")


def approve(
    store: Store,
    flt: Filter,
    adapter: str,
    said: Said,
    *,
    progress: Progress = quiet,
    judge: Judge = judge_again,
    verify: Verify | None = None,
) -> StepRecord:
    """Promote the candidate that a person names, if it passes the filter as it is now; it waits no longer then.

    Args:
        store: where channel, candidates and bundles are.
        flt: the filter as it is now, which may have other gates than the one that the candidate was held under.
        adapter: the candidate's digest, or its first 8 or more digits.
        said: who approves, and why.
        progress: tells how far it is.
        judge: judges the candidate again.
        verify: reads the stored bundle back, as in `promote`.

    Returns:
        The record of the promotion; nothing is changed where the adapter serves already.

    Raises:
        Rejected: the candidate fails a gate as it is now.
        Waiting: the channel is pinned, or was rolled back from this adapter, or it was refused.
        InputError: no such candidate waits, or it cannot be promoted.
    """
    name, channel = flt.name, flt.spec.promotion.channel
    before = read_channel(store, name, channel).channel
    if before.current and _begins(before.current.adapter, adapter):
        progress.note(f"{name}/{channel} points at {before.current.adapter[:12]} already")
        return moved_record(flt, before.current.verdict, before)
    digest = _waiting(store, flt, before, adapter)
    verdict, entry = _judged(store, flt, digest, said, progress, judge, verify)

    def check(now: Channel) -> None:
        _waiting(store, flt, now, digest)

    return move_by_verdict(store, flt, before, verdict, entry, check, progress)


def refuse(store: Store, name: str, channel: str, adapter: str, said: Said) -> Channel:
    """Take the candidate that a person names off the list; runs offer it no more, and `approve` promotes it no more.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        adapter: the candidate's digest, or its first 8 or more digits.
        said: who refuses it, and why.

    Returns:
        The channel afterwards; as it was where the adapter was refused or rolled back already.

    Raises:
        InputError: no such candidate waits, or another process promoted it meanwhile.
    """
    digest = _candidate(store, name, channel, read_channel(store, name, channel).channel, adapter)
    block = Block(adapter=digest, refused=True, at=utc_now(), **said._asdict())

    def work(now: Channel) -> Channel | None:
        if now.block_of(digest):
            return None
        if all(row.adapter != digest for row in now.candidates):
            raise changed(name, channel, now.adapter)
        changes = {"blocked": [block, *now.blocked], "candidates": without(now.candidates, digest)}
        return now.model_copy(update=changes)

    return change(store, name, channel, work)


def promote_by_name(
    store: Store,
    flt: Filter,
    adapter: Digest,
    said: Said,
    *,
    progress: Progress = quiet,
    judge: Judge = judge_again,
    verify: Verify | None = None,
) -> StepRecord:
    """Point a channel at the adapter that a person names, if it passes the filter as it is now; lift its pin and its block.

    Args:
        store: where channel and bundle are.
        flt: the filter as it is now, with the channel.
        adapter: digest of the adapter.
        said: who orders it, and why.
        progress: tells how far it is.
        judge: judges the adapter again.
        verify: reads the stored bundle back, as in `promote`.

    Returns:
        The record of the promotion.

    Raises:
        Rejected: the adapter fails a gate as it is now.
        InputError: it cannot be promoted.
    """
    name, channel = flt.name, flt.spec.promotion.channel
    before = read_channel(store, name, channel, lenient=True).channel
    if before.current and before.adapter == adapter:
        verified(store, flt, adapter, verify, progress)
        after = unpin(store, name, channel, said) if before.pin else before
        progress.note(f"{name}/{channel} points at {adapter[:12]} already")
        return moved_record(flt, before.current.verdict, after)
    verdict, entry = _judged(store, flt, adapter, said, progress, judge, verify)

    def check(now: Channel) -> None:
        if (now.pin, now.block_of(adapter)) != (before.pin, before.block_of(adapter)):
            raise changed(name, channel, now.adapter)  # a word that this person has not read is not lifted

    return move_by_verdict(store, flt, before, verdict, entry, check, progress)


def rollback(
    store: Store, name: str, channel: str, to: str | None = None, *, said: Said = NOBODY, verify: Verify | None = None
) -> Pointer:
    """Point a channel back at an earlier adapter, whose stored bytes are verified first; pin it, and block the one it leaves.

    A second rollback goes further back, not forth again.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        to: digest of the adapter, or its first eight or more digits; None for the adapter before this one.
        said: who orders it, and why.
        verify: reads the stored bundle back; None for `reproduce`.

    Returns:
        What the channel points at afterwards.

    Raises:
        InputError: the channel never held that adapter, or its bundle is not what it was; or another process changed the
            channel meanwhile.
    """
    where = f"{name}/{channel}"
    before = read_channel(store, name, channel, lenient=True).channel
    if before.pointer is None:
        what = f"nothing was promoted yet in {store.uri}, so there is nothing to go back to"
        raise InputError(what, where=where, hint=f"run distillery distill {name} first")
    target, left = _earlier(before.history, to, where), before.pointer.adapter
    if target.adapter == left:
        return before.pointer
    (verify or reproduce)(store, name, Digest(target.adapter))
    word = {**said._asdict(), "at": utc_now()}
    entry = target.model_copy(update={"action": "rollback", **word})

    def work(now: Channel) -> Channel | None:
        if landed(entry, before, now):
            return None
        if now.history != before.history:
            raise changed(name, channel, now.adapter)
        after = now.moved(entry)
        blocked = [Block(adapter=left, **word), *without(after.blocked, left)]
        changes = {"pin": Pin(**word), "blocked": blocked, "candidates": without(after.candidates, left)}
        return after.model_copy(update=changes)

    after = change(store, name, channel, work)
    return after.pointer or before.pointer


def unpin(store: Store, name: str, channel: str, said: Said) -> Channel:
    """End a channel's pin, so that runs promote again; adapters that were rolled back from or refused stay blocked.

    Args:
        store: where the channel is.
        name: of the filter.
        channel: name of the channel.
        said: who orders it, and why.

    Returns:
        The channel afterwards; as it was where it is not pinned.

    Raises:
        InputError: another process pinned it anew meanwhile.
    """
    pin = read_channel(store, name, channel, lenient=True).channel.pin
    at = utc_now()

    def work(now: Channel) -> Channel | None:
        if now.current is None or now.pin is None:
            return None
        if now.pin != pin:
            raise changed(name, channel, now.adapter)
        entry = Entry(**now.current.to_json(), action="unpin", at=at, **said._asdict())
        return now.model_copy(update={"pin": None, "history": [entry, *now.history]})

    return change(store, name, channel, work)


def _waiting(store: Store, flt: Filter, now: Channel, text: str) -> Digest:
    """Return the digest of the candidate that a text names; raise Waiting or InputError where it must not be promoted."""
    name, channel = flt.name, flt.spec.promotion.channel
    digest = _candidate(store, name, channel, now, text)
    if held := why_held(now, digest):
        raise Waiting(held_sentence(name, channel, digest, held))
    return digest


def _candidate(store: Store, name: str, channel: str, now: Channel, text: str) -> Digest:
    """Return the digest of the candidate, or of the blocked adapter, that a text names; InputError where it names none."""
    known = [row.adapter for row in now.candidates] + [row.adapter for row in now.blocked]
    found = sorted({adapter for adapter in known if _begins(adapter, text)})
    if len(found) != 1:
        what = f"{text[:64]!r} is no candidate" if now.candidates else f"no candidate waits for approval in {store.uri}"
        waiting = ", ".join(row.adapter[:12] for row in now.candidates)
        run = f"run distillery distill {name} again, which holds what passes"
        hint = f"these wait: {waiting}; or {run}" if waiting else run
        raise InputError(what, where=f"{name}/{channel}", hint=hint)
    return as_digest(found[0])


def _begins(adapter: str, text: str) -> bool:
    """True if a text names an adapter: by its digest, or by enough of its first digits."""
    return len(text) >= SHORTEST and adapter.startswith(text)


def _judged(
    store: Store, flt: Filter, adapter: Digest, said: Said, progress: Progress, judge: Judge, verify: Verify | None
) -> tuple[Verdict, Entry]:
    """Judge an adapter again and verify its bundle; return the verdict, which passes, and the move it allows."""
    digest = judge(store, flt, adapter, progress)
    verdict = require_pass(store, flt, digest)
    verified(store, flt, adapter, verify, progress)
    key = publish_filter(store, flt)
    entry = Entry(adapter=adapter, verdict=digest, filter=key, action="promote", at=utc_now(), **said._asdict())
    return verdict, entry


def move_by_verdict(
    store: Store,
    flt: Filter,
    before: Channel,
    verdict: Verdict,
    entry: Entry,
    check: Callable[[Channel], None],
    progress: Progress,
) -> StepRecord:
    """Make a move that a person ordered, if the channel points at what the verdict compared with; lift its pin.

    Args:
        store: where the channel is.
        flt: the filter, with the channel's name.
        before: the channel as it was read.
        verdict: allows the move.
        entry: the move.
        check: raises where the channel, as it is by now, does not let it.
        progress: told what it points at.

    Returns:
        The record of the promotion.

    Raises:
        InputError: another process changed the channel meanwhile, or what `check` raised.
    """
    name, channel = flt.name, flt.spec.promotion.channel

    def work(now: Channel) -> Channel | None:
        if now.adapter == entry.adapter or landed(entry, before, now):
            return None
        check(now)
        if verdict.incumbent != now.adapter:
            raise changed(name, channel, now.adapter)
        return now.moved(entry).model_copy(update={"pin": None})  # `check` has seen the pin

    after = change(store, name, channel, work)
    progress.note(f"{name}/{channel} points at {entry.adapter[:12]}")
    return moved_record(flt, entry.verdict, after)


def _earlier(moves: list[Entry], to: str | None, where: str) -> Entry:
    """Return the move that a rollback goes back to: the one that is asked for, or the one before the present one."""
    if to is not None:
        found = [entry for entry in moves if _begins(entry.adapter, to)]
        if len({entry.adapter for entry in found}) != 1:
            raise InputError(
                f"{to[:64]!r} is not one adapter that this channel held", where=where, hint="take one from `distillery history`"
            )
        return found[0]
    standing: list[Entry] = []  # what each rollback returned to lies under it no more
    for entry in reversed(moves):
        adapters = [each.adapter for each in standing]
        if entry.action == "rollback" and entry.adapter in adapters:
            del standing[adapters.index(entry.adapter) + 1 :]
        elif not standing or standing[-1].adapter != entry.adapter:
            standing.append(entry)
        else:
            standing[-1] = entry  # the same adapter, by a newer filter
    if len(standing) < 2:
        raise InputError(
            f"there is no adapter before {moves[0].adapter[:12]}",
            where=where,
            hint="name one with --to, see `distillery history`",
        )
    return standing[-2]
