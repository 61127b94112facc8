"""`distillery distill`, `plan` and `demo`: the whole pipeline on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.pipelines.cli.options import (
    DEFAULT_STORE,
    ArticlesOpt,
    BudgetOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MarksOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    UncalibratedOpt,
    absolute,
    absolute_overrides,
    in_all,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.results import EXIT_CODES, result_of

if TYPE_CHECKING:
    from distillery.components.artifacts.run_summary import Failure


def new_run() -> str:
    """A run's name: sorts by time, and two begun in one second differ."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def distill(
    filter: FilterArg,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    store: StoreOpt = DEFAULT_STORE,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    max_rejects: RejectsOpt = "0",
    marks: MarksOpt = "",
    without_calibration: UncalibratedOpt = "",
    budget: BudgetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Label, audit, split, train, benchmark and gate; then promote, hold or reject. What is done already is reused."""
    from distillery.components.artifacts.filter import read_filter
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.artifacts.steps import WATCHED
    from distillery.components.preflight.preflight import preflight
    from distillery.components.runtime.extras import STUDENT, require
    from distillery.components.store import open_store
    from distillery.components.student.base import resolve_base
    from distillery.pipelines.cli.live import watch
    from distillery.pipelines.laptop.events import LocalRun, Tail
    from distillery.pipelines.laptop.run import start

    require(STUDENT)
    overrides, uri = absolute_overrides(set), store_uri(store)
    opened = open_store(uri)
    arguments: dict[str, Any] = {
        "filter": str(Path(filter).absolute()) if Path(filter).is_file() else filter,
        "store": uri,
        "articles": absolute(articles),
        "labels": absolute(labels),
        "profile": profile,
        "overrides": overrides,
        "max_rejects": max_rejects,
        "marks": marks if marks in ("reference", "prefilter") else absolute(marks),
        "without_calibration": without_calibration,
        "budget": in_all(budget),
    }
    # The same check as the first step's, so that a typo is answered in half a second.
    ready = preflight(
        opened,
        ref=arguments["filter"],
        articles=arguments["articles"],
        labels=arguments["labels"],
        profile=profile,
        overrides=overrides,
        max_rejects=max_rejects,
        marks=arguments["marks"],
        budget=arguments["budget"],
    )
    # Before an oracle is paid: the base model that training needs can be had.
    student = read_filter(opened, ready.outputs["filter_key"]).spec.student
    resolve_base(student.baseModel, student.revision, opened)
    run, scratch = new_run(), Path(tempfile.mkdtemp(prefix="distillery-"))
    events, log = scratch / "events.jsonl", scratch / "run.log"
    process = start(arguments, run=run, events=events, log=log)
    try:
        watched = watch(LocalRun(process, Tail(events)), WATCHED)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    outputs = watched.outputs
    if watched.failure or "decision" not in outputs:
        running = [view.name for view in watched.steps.values() if view.state == "started"]
        failure = watched.failure or Failure(
            step=running[-1] if running else "run",
            kind="fault",
            message="its process ended without a word (killed, or out of memory)",
        )
        _explain_failure(failure, uri, outputs, log)
        if failure.kind != "fault":
            shutil.rmtree(scratch, ignore_errors=True)
        raise typer.Exit(2 if failure.kind == "input" else 1)
    shutil.rmtree(scratch, ignore_errors=True)
    result = result_of(opened, uri, run, outputs, watched.records)
    if as_json:
        print_json(result)
    else:
        from distillery.pipelines.results import print_summary

        print_summary(result, filter=filter, store=store)
    raise typer.Exit(EXIT_CODES[outputs["decision"]])


def _explain_failure(failure: Failure, uri: str, outputs: dict[str, Any], log: Path) -> None:
    where = f"{uri}/{outputs['report']}" if "report" in outputs else ""
    print(f"error: {failure.step}: {failure.message}", file=sys.stderr)
    if failure.kind == "fault":
        tail = log.read_text(errors="replace").splitlines()[-25:] if log.exists() else []
        print("\n".join(["", *tail, "", f"whole log: {log}"]), file=sys.stderr)
    if where:
        print(f"report: {where}", file=sys.stderr)
    print("nothing is lost: the same command goes on from the last finished step", file=sys.stderr)


def plan(
    filter: FilterArg,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    store: StoreOpt = DEFAULT_STORE,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    max_rejects: RejectsOpt = "0",
    marks: MarksOpt = "",
    without_calibration: UncalibratedOpt = "",
    budget: BudgetOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Say which steps a `distill` with these flags would run or reuse, which digest moved and why. Runs nothing."""
    from distillery.components.articles.input_files import given
    from distillery.components.preflight.preflight import resolve
    from distillery.components.store import open_store
    from distillery.pipelines.plan import make_plan, render_plan
    from distillery.pipelines.steps import RunState

    flt = resolve(filter, profile=profile, overrides=absolute_overrides(set))
    data = flt.spec.data
    articles, labels = given(absolute(articles), absolute(labels), filter_articles=data.articles, filter_labels=data.labels)
    in_all(budget)
    run = RunState(open_store(store_uri(store), write=False), flt, articles, labels, max_rejects)
    steps = make_plan(run, marks=marks, waived=without_calibration)
    if as_json:
        print_json({"filter": flt.name, "steps": [step.to_json() for step in steps]})
    else:
        print(render_plan(steps))


def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for articles.jsonl and replies.jsonl")] = Path(".demo"),
) -> None:
    """Write the demo corpus: articles with known true scores, and an oracle's recorded replies to them."""
    from distillery.components.demo.write import write_demo

    files = write_demo(out)
    print(f"{files.n_articles:,} articles: {files.articles}\nrecorded oracle replies: {files.replies}")


def add_to(app: typer.Typer) -> None:
    app.command()(distill)
    app.command()(plan)
    app.command()(demo)
