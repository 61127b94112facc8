"""`distillery filters new | lint | schema | show | prompt | metrics | diff`, and `explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.components.preflight.request import absolute_overrides
from distillery.components.runtime.exit_codes import ExitCode
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import FilterArg, FiltersArg, JsonOpt, ProfileOpt, SetOpt
from distillery.pipelines.cli.printing import print_error, print_json

if TYPE_CHECKING:
    from distillery.filters.lint import Finding

app = typer.Typer(help="Write, check and compare filters.", no_args_is_help=True, rich_markup_mode=None)
keys = typer.Typer()


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="the filter's one name: lower-case letters, digits, hyphens")],
    out: Annotated[Path, typer.Option("--out", help="folder to write <name>/v1/filter.yaml under")] = Path("filters"),
    as_json: JsonOpt = False,
) -> None:
    """Write a commented starter filter."""
    from distillery.filters.scaffold import new_filter

    path = new_filter(name, out)
    if as_json:
        print_json({"file": str(path)})
        return
    print(f"{path}\nnext: edit it, then  distillery filters lint {path}")


@app.command()
def lint(
    filters: FiltersArg,
    strict: Annotated[bool, typer.Option("--strict", help="warnings count as errors")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Find all that is wrong or odd in filters, also what a schema can't see. Exits with 2 where something is an error."""
    from distillery.filters.errors import InputError, blamed_on
    from distillery.filters.lint_files import counted, lint_file, render

    findings: list[Finding] = []
    unread: list[InputError] = []
    for filter in filters:
        try:
            with blamed_on("filter"):
                findings += lint_file(filter)
        except InputError as error:
            unread.append(error)
            print(f"error: {error}", file=sys.stderr)
    failing = [finding for finding in findings if finding.level == "error" or (strict and finding.level == "warning")]
    result = {"findings": [{**finding._asdict(), "mend": finding.hint} for finding in findings]}
    if as_json and not (failing or unread):
        print_json(result)
    elif findings:
        print(render(findings))
    if findings or not unread:  # of what could not be read there are no findings to count
        print(counted(findings), file=sys.stderr if unread else sys.stdout)
    if unread:
        first = unread[0]
        print_error(first.what, where=first.where, hint=first.hint, code=ExitCode.INPUT, more=result)
    elif failing:
        place = f"{failing[0].file}:{failing[0].line}"
        print_error(counted(failing), where=place, hint="mend what `findings` says", code=ExitCode.INPUT, more=result)
    if failing or unread:
        raise typer.Exit(ExitCode.INPUT)


@app.command()
def schema(as_json: JsonOpt = False) -> None:
    """Print the JSON Schema of a filter's file, which an editor checks and completes it by."""
    from distillery.filters.crd import filter_schema

    print_json(filter_schema())


@keys.command()
def explain(
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="a key, as spec.training.epochs", autocompletion=completion.paths)
    ] = "",
    as_json: JsonOpt = False,
) -> None:
    """Say what a key of a filter means: its type, default and bounds, and the keys below it."""
    from distillery.filters.explain import explain as key_of
    from distillery.filters.explain import render_key

    key = key_of(path)
    if as_json:
        print_json(key.to_json())
        return
    print(render_key(key))


@app.command()
def show(
    filter: FilterArg,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    as_json: JsonOpt = False,
) -> None:
    """Print the filter as a run would see it: defaults, profile and overrides resolved."""
    from distillery.filters.loading import dump_filter, load_filter

    flt = load_filter(filter, overrides=absolute_overrides(set), profile=profile or None)
    if as_json:
        print_json(flt.model_dump(mode="json"))
        return
    print(dump_filter(flt), end="")


@app.command()
def prompt(
    filter: FilterArg,
    title: Annotated[str, typer.Option("--title")] = "The article's title",
    article: Annotated[Path | None, typer.Option("--article", help="a text file to put in")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Print the prompt that the oracle gets."""
    from distillery.filters.loading import load_filter
    from distillery.filters.prompt import render_prompt

    content = article.read_text(encoding="utf-8") if article else "The article's text stands here."
    text = render_prompt(load_filter(filter), title, content)
    if as_json:
        print_json({"prompt": text})
        return
    print(text)


@app.command()
def metrics(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[METRIC]...", help="only these", autocompletion=completion.metrics),
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """List what a gate may judge: each metric, the argument that narrows it, and which way round its bound goes."""
    from distillery.filters.errors import InputError
    from distillery.filters.expressions import nearest
    from distillery.filters.metrics import BASELINES, METRICS

    for name in names or ():
        if name not in METRICS:
            raise InputError(f'unknown metric "{name[:80]}"', hint=nearest(name, METRICS))
    shown = {name: metric for name, metric in METRICS.items() if name in (names or METRICS)}
    if as_json:
        rows = [{"metric": name, **metric._asdict()} for name, metric in shown.items()]
        print_json({"metrics": rows, "baselines": list(BASELINES)})
        return
    width = max(map(len, shown))
    for name, metric in shown.items():
        bound = "atLeast" if metric.high else "below"
        argument = f"; {'needs' if metric.required else 'takes'} a {metric.argument}" if metric.argument else ""
        print(f"{name:<{width}}  {bound:<7}  {metric.meaning}{argument}")
    print(f"a baseline is one of: {', '.join(BASELINES)}")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", autocompletion=completion.filters)],
    new: Annotated[str, typer.Argument(metavar="NEW", autocompletion=completion.filters)],
    as_json: JsonOpt = False,
) -> None:
    """Say what changed between two filters, and which steps that would redo."""
    from distillery.filters.diff import diff as compare
    from distillery.filters.diff import render_diff
    from distillery.filters.loading import load_filter

    changes = compare(load_filter(old), load_filter(new))
    if as_json:
        print_json({"changes": [change._asdict() for change in changes]})
    else:
        print(render_diff(changes))
