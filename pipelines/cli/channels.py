"""What a person says of a channel: history, approve, refuse, promote, rollback, unpin."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.preflight.request import absolute_overrides
from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.asking import agreed, ask, in_terminal
from distillery.pipelines.cli.options import (
    ChannelOpt,
    FilterArg,
    JsonOpt,
    SetOpt,
    StoreOpt,
    SubjectArg,
    open_existing,
)
from distillery.pipelines.cli.printing import candidate_lines, print_history, print_json

if TYPE_CHECKING:
    from distillery.components.artifacts.channel import Block, Channel
    from distillery.components.artifacts.step_record import StepRecord
    from distillery.components.promotion.by_hand import Said
    from distillery.components.store import Digest, Store
    from distillery.filters.filter import Filter

app = typer.Typer()

ReasonOpt = Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept in the channel's history")]
AsOpt = Annotated[str, typer.Option("--as", metavar="NAME", help="who says so; default: your login name")]


def _said(by: str, reason: str, *, wanted: str = "") -> Said:
    """Return who says it and why; ask a person who left the reason out, where `wanted` says what needs one."""
    from distillery.components.promotion.by_hand import Said

    if not by:
        try:
            by = getpass.getuser()
        except (KeyError, OSError, ImportError):  # a container whose user has no name
            raise InputError("this user has no login name", where="--as", hint="give your name with --as") from None
    if wanted and not reason.strip():
        reason = ask("reason:") if in_terminal() else ""
        if not reason:
            raise InputError(f"{wanted} needs a reason", where="--reason", hint="say why; it is kept in the channel's history")
    return Said.of(by, reason)


def _channel_of(store: Store, subject: str, channel: str) -> tuple[str, str]:
    """Return the filter's name and channel that a filter or an adapter's digest means."""
    flt = _filter_of(store, subject, channel)
    return flt.name, flt.spec.promotion.channel


def _filter_of(store: Store, subject: str, channel: str) -> Filter:
    """Return the filter, with the channel, that a filter or an adapter's digest means."""
    from distillery.components.artifacts.adapter import find_adapter, is_digest
    from distillery.components.artifacts.channel import on_channel
    from distillery.filters.loading import load_filter

    return on_channel(find_adapter(store, subject).filter if is_digest(subject) else load_filter(subject), channel)


def _follow(store: Store, flt: Filter) -> None:
    """Let the filter's registries follow what was moved; one that is behind is a line, and no failure."""
    from distillery.components.registries.follow import follow_channel
    from distillery.components.runtime.progress import reporter

    follow_channel(store, flt, progress=reporter("registries"))


@app.command()
def history(subject: SubjectArg, channel: ChannelOpt = "", store: StoreOpt = None, as_json: JsonOpt = False) -> None:
    """List what the channel of a filter, or of an adapter's filter, pointed at, newest first, and what waits there."""
    from distillery.components.artifacts.channel import read_channel
    from distillery.components.promotion.history import told

    opened = open_existing(store)
    name, channel = _channel_of(opened, subject, channel)
    shown = told(opened, name, read_channel(opened, name, channel, lenient=True).channel)
    if as_json:
        print_json({"filter": name, "channel": channel, **shown})
        return
    print_history(name, channel, shown, opened.uri)


@app.command()
def approve(
    filter: FilterArg,
    adapter: Annotated[
        str,
        typer.Argument(metavar="ADAPTER", help="the candidate's digest (8 digits do)", autocompletion=completion.candidates),
    ] = "",
    reason: ReasonOpt = "",
    by: AsOpt = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    as_json: JsonOpt = False,
) -> None:
    """Promote the candidate that you have reviewed, if it passes the filter as it is now."""
    from distillery.components.artifacts.channel import on_channel
    from distillery.components.promotion.by_hand import approve as work
    from distillery.components.runtime.progress import reporter
    from distillery.filters.loading import load_filter

    flt = on_channel(load_filter(filter, overrides=absolute_overrides(set)), channel)
    opened = open_existing(store, write=True)
    adapter = adapter or _chosen(opened, flt, filter)
    record = work(opened, flt, adapter, _said(by, reason, wanted="an approval"), progress=reporter("promote"))
    _follow(opened, flt)
    _print_moved(flt, record, as_json)


def _print_moved(flt: Filter, record: StepRecord, as_json: bool) -> None:
    """Print what a channel points at after a promotion, and what it pointed at before."""
    channel, adapter = flt.spec.promotion.channel, record.outputs["adapter"]
    if as_json:
        named = {"filter": flt.name, "channel": channel, "adapter": adapter}
        print_json({**named, "previous": record.outputs["previous"], "verdict": record.inputs["verdict"]})
        return
    print(f"{flt.name}/{channel} → {adapter}")


@app.command()
def refuse(
    filter: FilterArg,
    adapter: Annotated[
        str,
        typer.Argument(metavar="ADAPTER", help="the candidate's digest (8 digits do)", autocompletion=completion.candidates),
    ],
    reason: ReasonOpt = "",
    by: AsOpt = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Take a candidate off the list; runs offer it no more, and only `promote` promotes it."""
    from distillery.components.promotion.by_hand import refuse as work

    opened = open_existing(store, write=True)
    name, channel = _channel_of(opened, filter, channel)
    after = work(opened, name, channel, adapter, _said(by, reason, wanted="a refusal"))
    (block,) = [block for block in after.blocked if block.adapter.startswith(adapter)]
    if as_json:
        print_json({"filter": name, "channel": channel, "refused": block.to_json(), "candidates": _waiting(after)})
        return
    print(f"{name}/{channel}: {block.adapter} waits no longer")
    print(_until(block, channel))


def _until(block: Block, channel: str) -> str:
    """Return the line that says which adapter runs do not promote, and what lifts that."""
    word = "refused" if block.refused else "blocked"
    return f"{word}   {block.adapter[:12]}, until: distillery promote {block.adapter[:12]} --to {channel} --reason …"


def _waiting(channel: Channel) -> list[str]:
    return [row.adapter for row in channel.candidates]


def _chosen(store: Store, flt: Filter, filter: str) -> str:
    """Return the digest of the only candidate, if a person in a terminal says yes to it; InputError elsewhere."""
    from distillery.components.artifacts.channel import read_channel
    from distillery.components.promotion.history import told

    name, channel = flt.name, flt.spec.promotion.channel
    candidates = told(store, name, read_channel(store, name, channel).channel)["candidates"]
    if not candidates:
        hint = f"run distillery distill {name} again, which holds what passes"
        raise InputError(f"no candidate waits for approval in {store.uri}", where=f"{name}/{channel}", hint=hint)
    if len(candidates) > 1 or not in_terminal():
        waiting = ", ".join(row["adapter"][:12] for row in candidates)
        what = f"{len(candidates)} candidates wait" if len(candidates) > 1 else "a candidate is approved by its digest"
        hint = f"name the one whose report you have read: distillery approve {filter} ADAPTER; {waiting}"
        raise InputError(what, where=f"{name}/{channel}", hint=hint)
    print("\n".join(candidate_lines(candidates, store.uri)))
    if not agreed(f"promote it to {channel}?"):
        print("nothing was promoted; the candidate still waits")
        raise typer.Exit(ExitCode.WAITING)
    return str(candidates[0]["adapter"])


@app.command()
def promote(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="its digest (8 digits do)", autocompletion=completion.adapters)
    ],
    to: Annotated[
        str,
        typer.Option("--to", metavar="CHANNEL", help="the channel that is to point at it", autocompletion=completion.channels),
    ],
    reason: ReasonOpt = "",
    by: AsOpt = "",
    filter: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="judges it; default: the file that its run read, as it is now",
            autocompletion=completion.filters,
        ),
    ] = "",
    store: StoreOpt = None,
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    as_json: JsonOpt = False,
) -> None:
    """Promote any adapter by name, if it passes the filter as it is now; lifts the channel's pin and the adapter's block."""
    from distillery.components.artifacts.channel import on_channel
    from distillery.components.promotion.by_hand import promote_by_name
    from distillery.components.runtime.progress import reporter

    opened = open_existing(store, write=True)
    flt, digest = _as_it_is_now(opened, adapter, filter, absolute_overrides(set))
    flt = on_channel(flt, to, where="--to")
    said = _said(by, reason, wanted="a promotion by hand")
    record = promote_by_name(opened, flt, digest, said, progress=reporter("promote"))
    _follow(opened, flt)
    _print_moved(flt, record, as_json)


def _as_it_is_now(store: Store, adapter: str, filter: str, overrides: tuple[str, ...]) -> tuple[Filter, Digest]:
    """Return an adapter with the filter that judges it: the one that is named, or the one that its run read, as it is now.

    That is the run's own file with the run's own settings where it is there, else the filter of this name here, else, on a
    machine that has neither, the one that the filter's last run read.
    """
    from distillery.components.artifacts.adapter import filter_key_of, find_summary, is_digest
    from distillery.components.artifacts.filter import read_filter
    from distillery.components.artifacts.run_summary import read_last_summary
    from distillery.components.store import as_digest
    from distillery.filters.loading import find_filter, load_filter

    if not is_digest(adapter):
        raise InputError(f"{adapter[:64]!r} is no digest of an adapter", hint="see `distillery history FILTER`")
    summary = find_summary(store, adapter)
    made, digest = read_filter(store, filter_key_of(summary)), as_digest(summary.adapter or "")
    asked: dict[str, Any] = summary.records["preflight"].facts.get("request") or {} if "preflight" in summary.records else {}
    profile, settings = str(asked.get("profile") or "") or None, [*map(str, asked.get("overrides") or ())]
    if filter:
        flt = load_filter(filter, overrides=overrides)
    else:
        for ref in (str(asked.get("filter") or ""), made.name):
            try:
                find_filter(ref)
            except InputError:
                continue
            flt = load_filter(ref, overrides=[*settings, *overrides], profile=profile)
            break
        else:
            last = read_last_summary(store, made.name)
            flt = read_filter(store, last.filter_key) if last and last.filter_key else made
    if flt.name != made.name:
        raise InputError(
            f"was made for {made.name}, not {flt.name}", where=f"adapter {digest[:12]}", hint="name its own filter"
        )
    return flt, digest


@app.command()
def rollback(
    subject: SubjectArg,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="ADAPTER", help="default: the adapter before this one", autocompletion=completion.adapters
        ),
    ] = "",
    reason: ReasonOpt = "",
    by: AsOpt = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Point a channel back at an earlier adapter, verified first; runs promote nothing there until `unpin` or `promote`."""
    from distillery.components.artifacts.adapter import is_digest
    from distillery.components.artifacts.channel import current
    from distillery.components.promotion.by_hand import rollback as work

    if to and is_digest(subject):
        raise InputError("an adapter is named already", where=f"--to {to}", hint="leave it out, or give the filter")
    opened = open_existing(store, write=True)
    flt = _filter_of(opened, subject, channel)
    name, channel = flt.name, flt.spec.promotion.channel
    said = _said(by, reason)
    before = current(opened, name, channel)
    after = work(opened, name, channel, to=to or (subject if is_digest(subject) else None), said=said)
    left = before.adapter if before and before.adapter != after.adapter else None
    _follow(opened, flt)
    if as_json:
        print_json({"filter": name, "channel": channel, "adapter": after.adapter, "left": left})
        return
    print(f"{name}/{channel} → {after.adapter}")
    if left:
        print(f"pinned    runs promote nothing there until: distillery unpin {subject} --channel {channel}")
        print(f"blocked   {left[:12]}, until: distillery promote {left[:12]} --to {channel} --reason …")


@app.command()
def unpin(
    subject: SubjectArg,
    reason: ReasonOpt = "",
    by: AsOpt = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Let runs promote again after a rollback; the adapter that was rolled back stays blocked."""
    from distillery.components.artifacts.channel import read_channel
    from distillery.components.promotion.by_hand import unpin as work

    opened = open_existing(store, write=True)
    name, channel = _channel_of(opened, subject, channel)
    said = _said(by, reason)
    before = read_channel(opened, name, channel, lenient=True).channel
    after = work(opened, name, channel, said) if before.pin else before
    if as_json:
        lifted = before.pin.to_json() if before.pin else None
        blocked = [block.to_json() for block in after.blocked]
        print_json({"filter": name, "channel": channel, "adapter": after.adapter, "lifted": lifted, "blocked": blocked})
        return
    if before.pin is None:
        print(f"{name}/{channel} is not pinned")
        return
    print(f"{name}/{channel} is no longer pinned")
    for block in after.blocked:
        print(_until(block, channel))
