"""What is done with an adapter: benchmark, report, history, rollback, approve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from distillery.components.preflight.request import absolute, absolute_overrides
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import (
    DEFAULT_STORE,
    FilterArg,
    JsonOpt,
    MapOpt,
    SetOpt,
    StoreOpt,
    SubjectArg,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.store import Store

app = typer.Typer()
FORMS: Final = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown"}


@app.command()
def benchmark(
    subject: SubjectArg,
    labels: Annotated[str, typer.Option("--labels", metavar="FILE", help="the labelled set to judge on")],
    store: StoreOpt = DEFAULT_STORE,
    max_rejects: Annotated[str, typer.Option("--max-rejects", metavar="N|P%")] = "0",
    map: MapOpt = [],  # noqa: B006
    as_json: JsonOpt = False,
) -> None:
    """Judge any adapter on any labelled set."""
    from distillery.components.runtime.extras import STUDENT, require

    require(STUDENT)
    from distillery.components.articles.input_files import local_input
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.benchmarking.evaluate import evaluate_file
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store

    opened = open_store(store_uri(store))
    flt, adapter = find_adapter(opened, subject).renamed(map)
    with local_input(absolute(labels), parameter="labels") as path:
        judged = evaluate_file(opened, flt, adapter, path, max_rejects=max_rejects, progress=reporter("benchmark"))
    if as_json:
        print_json(judged.to_json())
        return
    from distillery.pipelines.results import print_benchmark

    print_benchmark(judged)


@app.command()
def report(
    subject: SubjectArg,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="where to write it")],
    store: StoreOpt = DEFAULT_STORE,
    markdown: Annotated[bool, typer.Option("--md", help="Markdown for a pull request instead of HTML")] = False,
) -> None:
    """Write the report of a filter's last run, or of the run that made an adapter."""
    from distillery.components.artifacts.adapter import filter_key_of, find_summary, is_digest
    from distillery.components.artifacts.filter import read_filter
    from distillery.components.artifacts.run_summary import read_last_summary
    from distillery.components.reporting.gather import gather
    from distillery.components.reporting.render import render_html, render_markdown
    from distillery.components.store import open_store
    from distillery.filters.loading import load_filter

    as_markdown = _as_markdown(out, markdown)
    opened = open_store(store_uri(store))
    if is_digest(subject):
        summary = find_summary(opened, subject)
    else:
        flt = load_filter(subject)
        last = read_last_summary(opened, flt.name)
        if last is None:
            raise InputError(f"no run of {flt.name} in this store", hint=f"run `distillery distill {subject} …` first")
        summary = last
    context = gather(opened, read_filter(opened, filter_key_of(summary)), summary)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(render_markdown(context) if as_markdown else render_html(context), encoding="utf-8")
    print(out)


def _as_markdown(out: Path, markdown: bool) -> bool:
    """Return whether a report is Markdown, going by the name of its file and by --md; InputError where they differ."""
    suffix = out.suffix.lower()
    if suffix and suffix not in FORMS:
        raise InputError(f"a report has no form {suffix}", where=f"--out {out}", hint=f"name it {', '.join(FORMS)}")
    if markdown and FORMS.get(suffix) == "html":
        raise InputError("is HTML, and --md asks for Markdown", where=f"--out {out}", hint="name it .md, or leave --md out")
    return markdown or FORMS.get(suffix) == "markdown"


def _channel_of(store: Store, subject: str) -> tuple[str, str]:
    """Return the filter's name and channel that a filter or an adapter's digest means."""
    from distillery.components.artifacts.adapter import find_adapter, is_digest
    from distillery.filters.loading import load_filter

    flt = find_adapter(store, subject).filter if is_digest(subject) else load_filter(subject)
    return flt.name, flt.spec.promotion.channel


@app.command()
def history(subject: SubjectArg, store: StoreOpt = DEFAULT_STORE, as_json: JsonOpt = False) -> None:
    """List what the channel of a filter, or of an adapter's filter, pointed at, newest first."""
    from distillery.components.promotion.promote import history as read
    from distillery.components.store import open_store

    opened = open_store(store_uri(store))
    name, channel = _channel_of(opened, subject)
    entries = read(opened, name, channel)
    if as_json:
        print_json({"filter": name, "channel": channel, "history": [entry.to_json() for entry in entries]})
        return
    if not entries:
        print(f"nothing was promoted on channel {channel} of {name} yet")
    for index, entry in enumerate(entries):
        mark = "now" if index == 0 else ""
        print(f"{mark:<4}{entry.at}  {entry.action:<9} {entry.adapter[:12]}  verdict {entry.verdict[:12]}")


@app.command()
def rollback(
    subject: SubjectArg,
    to: Annotated[str, typer.Option("--to", metavar="ADAPTER", help="default: the adapter before this one")] = "",
    store: StoreOpt = DEFAULT_STORE,
) -> None:
    """Point a channel back at an earlier adapter, or at the one that a digest names, after verifying its stored bytes."""
    from distillery.components.artifacts.adapter import is_digest
    from distillery.components.promotion.promote import rollback as work
    from distillery.components.store import open_store

    if to and is_digest(subject):
        raise InputError("an adapter is named already", where=f"--to {to}", hint="leave it out, or give the filter")
    opened = open_store(store_uri(store))
    name, channel = _channel_of(opened, subject)
    pointer = work(opened, name, channel, to=to or (subject if is_digest(subject) else None))
    print(f"{name}/{channel} → {pointer.adapter}")


@app.command()
def approve(
    filter: FilterArg,
    store: StoreOpt = DEFAULT_STORE,
    set: SetOpt = [],  # noqa: B006 - typer reads the default
) -> None:
    """Promote the candidate that waits for approval, if it passes the gates as they are now."""
    from distillery.components.promotion.promote import approve as work
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.filters.loading import load_filter

    flt = load_filter(filter, overrides=absolute_overrides(set))
    record = work(open_store(store_uri(store)), flt, progress=reporter("promote"))
    print(f"{flt.name}/{flt.spec.promotion.channel} → {record.outputs['adapter']}")
