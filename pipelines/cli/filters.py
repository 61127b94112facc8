"""`distillery filters new | lint | show | prompt | metrics | diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distillery.components.preflight.request import absolute_overrides
from distillery.components.runtime.exit_codes import ExitCode
from distillery.pipelines.cli.options import FilterArg, JsonOpt, ProfileOpt, SetOpt
from distillery.pipelines.cli.printing import print_json

app = typer.Typer(help="Write, check and compare filters.", no_args_is_help=True, rich_markup_mode=None)


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
def lint(filter: FilterArg, as_json: JsonOpt = False) -> None:
    """Check a filter, also for what a schema can't see. Exits with 2 where something is an error."""
    from distillery.filters.lint import lint as check
    from distillery.filters.lint import render_findings
    from distillery.filters.loading import find_filter, load_filter, read_text

    path, _ = find_filter(filter)
    findings = check(load_filter(filter), read_text(path, str(path)))
    if as_json:
        print_json({"findings": [{**finding._asdict(), "mend": finding.hint} for finding in findings]})
    else:
        print(render_findings(findings))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.INPUT)


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
def metrics(as_json: JsonOpt = False) -> None:
    """List what a gate may judge: each metric, the argument that narrows it, and which way round its bound goes."""
    from distillery.filters.metrics import BASELINES, METRICS

    if as_json:
        rows = [{"metric": name, **metric._asdict()} for name, metric in METRICS.items()]
        print_json({"metrics": rows, "baselines": list(BASELINES)})
        return
    width = max(map(len, METRICS))
    for name, metric in METRICS.items():
        bound = "atLeast" if metric.high else "below"
        argument = f"; {'needs' if metric.required else 'takes'} a {metric.argument}" if metric.argument else ""
        print(f"{name:<{width}}  {bound:<7}  {metric.meaning}{argument}")
    print(f"a baseline is one of: {', '.join(BASELINES)}")


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD")],
    new: Annotated[str, typer.Argument(metavar="NEW")],
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
