"""What a commit orders: to promote an adapter by its digest, or to go back to a spec under which one served.

A commit that names a digest counts for a verdict of that adapter under the gates as they are now; one that was never judged, or
was judged under other gates, is refused. A reverted spec brings back the adapter that served under it, on the verdict it had:
what replaced it is what the commit takes back, so it is not judged against that. Both are done from a pod without torch: every
byte of the bundle is verified against its digest, and no golden text is scored again.
"""

from __future__ import annotations

from distillery.components.artifacts.channel import Channel, Entry, read_channel
from distillery.components.artifacts.filter import publish_filter, read_filter
from distillery.components.artifacts.intent import changed_steps
from distillery.components.artifacts.run_summary import read_adapter_summary
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.promotion.by_hand import SHORTEST, Said, move_by_verdict
from distillery.components.promotion.judge import Judge, judge_again, require_pass
from distillery.components.promotion.move import change, changed, landed, utc_now
from distillery.components.promotion.promote import moved_record, passing
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import Digest, NotFound, Store, StoreError, as_digest, not_read
from distillery.components.store.layout import adapters_folder
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter


def promote_by_commit(
    store: Store, flt: Filter, adapter: str, said: Said, *, progress: Progress = quiet, judge: Judge = judge_again
) -> StepRecord:
    """Point a channel at the adapter that a commit names, if it was judged under the gates as they are now and passed.

    It lifts the channel's pin, and the adapter's block. Where another adapter serves than the verdict compared with, it is
    judged again against that one.

    Args:
        store: where channel, verdict and bundle are.
        flt: the filter as the commit has it.
        adapter: digest of the adapter, or its first 8 or more digits.
        said: who orders it, and why.
        progress: tells how far it is.
        judge: judges the adapter again.

    Returns:
        The record of the promotion; nothing is changed where the adapter serves already.

    Raises:
        Rejected: it fails a gate against the adapter that serves now.
        InputError: it was never judged, or under other gates; or its bundle is not what it was.
    """
    name, channel = flt.name, flt.spec.promotion.channel
    before = read_channel(store, name, channel, lenient=True).channel
    if before.current and named(before.current.adapter, adapter):
        return moved_record(flt, before.current.verdict, before)
    digest, known = _judged_before(store, flt, before, adapter)
    verdict = passing(store, flt, known)
    if verdict.incumbent != before.adapter:
        known = judge(store, flt, digest, progress)
        verdict = require_pass(store, flt, known)
    verify_bytes(store, name, digest)
    key = publish_filter(store, flt)
    entry = Entry(adapter=digest, verdict=known, filter=key, action="promote", at=utc_now(), **said._asdict())

    def check(now: Channel) -> None:
        if (now.pin, now.block_of(digest)) != (before.pin, before.block_of(digest)):
            raise changed(name, channel, now.adapter)

    return move_by_verdict(store, flt, before, verdict, entry, check, progress)


def named(adapter: str, text: str) -> bool:
    """True if a text names an adapter: by its digest, or by enough of its first digits.

    Args:
        adapter: digest of the adapter.
        text: what a commit says.

    Returns:
        Whether it is that one.
    """
    return len(text) >= SHORTEST and adapter.startswith(text)


def _judged_before(store: Store, flt: Filter, now: Channel, text: str) -> tuple[Digest, str]:
    """Return the adapter that a text names and the newest verdict on it; raise InputError where there is none."""
    verdicts = {entry.adapter: entry.verdict for entry in [*reversed(now.history), *reversed(now.candidates)]}
    known = sorted({*verdicts, *(block.adapter for block in now.blocked)})
    found = [adapter for adapter in known if named(adapter, text)] or ([text] if len(text) == 64 else [])
    where = "spec.promotion.approved"
    if len(found) != 1:
        waiting = ", ".join(row.adapter[:12] for row in now.candidates)
        hint = f"these wait: {waiting}" if waiting else "nothing waits"
        raise InputError(f"{text[:64]} is no adapter of {flt.name}/{flt.spec.promotion.channel}", where=where, hint=hint)
    adapter = as_digest(found[0])
    if adapter not in verdicts and (summary := read_adapter_summary(store, adapter)):
        verdict = summary.outputs.get("verdict")
        if isinstance(verdict, str) and summary.outputs.get("name", flt.name) == flt.name:
            verdicts[adapter] = verdict
    if adapter not in verdicts:
        raise InputError(f"{adapter[:12]} was never judged", where=where, hint="name an adapter that a run has judged")
    return adapter, verdicts[adapter]


def served_under(store: Store, flt: Filter, channel: Channel) -> Entry | None:
    """Return the newest move of a channel to an adapter under the same filter, as far as a step reads of it.

    Args:
        store: where published filters are.
        flt: the filter.
        channel: its channel.

    Returns:
        The move; None where no adapter has served under this filter.

    Raises:
        StoreError: the store can't be read.
    """
    known: dict[str, bool] = {}
    for entry in channel.history:
        if entry.filter not in known:
            try:
                known[entry.filter] = not changed_steps(read_filter(store, entry.filter), flt)
            except (NotFound, InputError) as error:
                if isinstance(error, StoreError) and not_read(error):
                    raise
                known[entry.filter] = False  # gone, or of another program: nothing is known of it
        if known[entry.filter]:
            return entry
    return None


def restore(store: Store, flt: Filter, adapter: str, said: Said) -> Channel:
    """Point a channel back at an adapter that served before, on the verdict it had; lift its block.

    Args:
        store: where the channel is.
        flt: the filter, with the channel's name.
        adapter: digest of the adapter.
        said: who orders it, and why.

    Returns:
        The channel afterwards.

    Raises:
        InputError: it never served, its bundle is not what it was, or another process changed the channel meanwhile.
    """
    name, channel = flt.name, flt.spec.promotion.channel
    before = read_channel(store, name, channel, lenient=True).channel
    earlier = next((entry for entry in before.history if entry.adapter == adapter), None)
    if earlier is None:
        raise InputError(f"{adapter[:12]} never served", where=f"{name}/{channel}")
    verify_bytes(store, name, as_digest(adapter))
    entry = earlier.model_copy(update={"action": "promote", "at": utc_now(), **said._asdict()})

    def work(now: Channel) -> Channel | None:
        if now.adapter == adapter or landed(entry, before, now):
            return None
        if now.history != before.history or now.pin != before.pin:
            raise changed(name, channel, now.adapter)
        return now.moved(entry)

    return change(store, name, channel, work)


def verify_bytes(store: Store, name: str, adapter: Digest) -> None:
    """Raise InputError unless every byte of a stored bundle is what its digest says.

    Args:
        store: where it is.
        name: of the filter.
        adapter: digest of the adapter.
    """
    store.folder(adapters_folder(name), adapter).verify()
