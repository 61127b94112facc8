"""What is read of an adapter: its benchmark and its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from distillery.components.preflight.request import absolute
from distillery.components.runtime.whole_file import write_whole
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import (
    ChannelOpt,
    JsonOpt,
    MapOpt,
    MappingOpt,
    StoreOpt,
    SubjectArg,
    open_existing,
    require_filter,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.sheets import form_of

app = typer.Typer()


@app.command()
def benchmark(
    subject: SubjectArg,
    labels: Annotated[str, typer.Option("--labels", metavar="FILE", help="the labelled set to judge on")],
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    max_rejects: Annotated[str, typer.Option("--max-rejects", metavar="N|P%")] = "0",
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Judge any adapter on any labelled set."""
    from distillery.components.runtime.extras import STUDENT, require

    require_filter(subject, channel)
    require(STUDENT)
    from distillery.components.articles.input_files import local_input
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.benchmarking.evaluate import evaluate_file
    from distillery.components.runtime.progress import reporter

    opened = open_existing(store)
    flt, adapter = find_adapter(opened, subject, channel=channel, here=True).renamed(map, mapping)
    with local_input(absolute(labels), parameter="labels") as path:
        judged = evaluate_file(opened, flt, adapter, path, max_rejects=max_rejects, progress=reporter("benchmark"))
    if as_json:
        print_json(judged.to_json())
        return
    from distillery.pipelines.results import print_benchmark

    print_benchmark(judged, flt)


@app.command()
def report(
    subject: SubjectArg,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="where to write it; with --md, default: standard output")
    ] = None,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    markdown: Annotated[bool, typer.Option("--md", help="Markdown for a pull request instead of HTML")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Write the report of a filter's last run, or of the run that made an adapter or what serves on a channel."""
    from distillery.components.artifacts.adapter import filter_key_of, find_run
    from distillery.components.artifacts.filter import read_filter
    from distillery.components.reporting.gather import gather
    from distillery.components.reporting.render import render_html, render_markdown

    if out is None and not markdown:
        hint = "name a file, or give --md for Markdown on standard output"
        raise InputError("no file for the report", where="--out", hint=hint)
    to = None if out is None or str(out) == "-" else out
    as_markdown = to is None or form_of(to, markdown=markdown, noun="report") == "markdown"
    require_filter(subject, channel)
    opened = open_existing(store)
    summary = find_run(opened, subject, channel=channel)
    context = gather(opened, read_filter(opened, filter_key_of(summary)), summary)
    text = render_markdown(context) if as_markdown else render_html(context)
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_whole(to, text)
    for problem in context.problems:
        print(f"not readable: {problem}", file=sys.stderr)
    if as_json:
        print_json({"out": str(to)} if to else {"markdown": text})
    else:
        print(to or text, end="\n" if to or not text.endswith("\n") else "")
