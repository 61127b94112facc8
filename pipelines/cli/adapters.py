"""What is read of an adapter: its benchmark and its report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.preflight.request import absolute
from distillery.components.runtime.extras import DRAWING, require
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
from distillery.pipelines.cli.sheets import DOCUMENTS, Form, form_of

if TYPE_CHECKING:
    from distillery.components.reporting.context import Context

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
    from distillery.components.runtime.extras import STUDENT

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
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="where to write it: .html, .md, .docx or .pdf; with --md, default: standard output"
        ),
    ] = None,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    markdown: Annotated[bool, typer.Option("--md", help="Markdown for a pull request instead of HTML")] = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="FOLDER", help="write plots as PNG and SVG, and a summary, there")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write the report of a filter's last run, or of the run that made an adapter or what serves on a channel."""
    from distillery.components.artifacts.adapter import filter_key_of, find_run
    from distillery.components.artifacts.filter import read_filter
    from distillery.components.reporting.gather import gather

    if out is None and not markdown and plots is None:
        hint = "name a file, or give --md for Markdown on standard output"
        raise InputError("no file for the report", where="--out", hint=hint)
    to = None if out is None or str(out) == "-" else out
    form = "markdown" if to is None else form_of(to, markdown=markdown, noun="report", forms=DOCUMENTS)
    require_filter(subject, channel)
    require(DRAWING if form == "docx" or plots is not None else ())
    opened = open_existing(store)
    summary = find_run(opened, subject, channel=channel)
    context = gather(opened, read_filter(opened, filter_key_of(summary)), summary)
    shown: dict[str, Any] = {}
    if plots is not None:
        shown |= {"plots": str(plots), "files": _write_plots(context, plots)}
    if out is not None or markdown:
        document = _document(context, form)
        if to is not None:
            to.parent.mkdir(parents=True, exist_ok=True)
            write_whole(to, document)
        shown |= {"out": str(to)} if to else {"markdown": document}
    for problem in context.problems:
        print(f"not readable: {problem}", file=sys.stderr)
    if as_json:
        print_json(shown)
        return
    for text in (shown.get("plots"), shown.get("out"), shown.get("markdown")):
        if text is not None:
            print(text, end="" if str(text).endswith("\n") else "\n")


def _document(context: Context, form: Form) -> str | bytes:
    from distillery.components.reporting.render import render_html, render_markdown

    if form == "docx":
        from distillery.components.reporting.word import render_word

        return render_word(context)
    if form == "pdf":
        from distillery.components.reporting.printed import print_page

        return print_page(render_html(context))
    return render_markdown(context) if form == "markdown" else render_html(context)


def _write_plots(context: Context, folder: Path) -> list[str]:
    """Write the plots into a folder, beside whatever else lies there; return their names."""
    from distillery.components.reporting.figures_files import plot_files

    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=f"--plots {folder}", hint="name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    files = plot_files(context)
    for name, data in files.items():
        write_whole(folder / name, data)
    return list(files)
