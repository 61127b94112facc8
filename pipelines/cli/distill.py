"""`distillery distill`, `plan` and `demo`: the whole pipeline on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    in_all,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    pass

app = typer.Typer()


def new_run() -> str:
    """Return a new name for a run; names sort by time, and two of one second differ.

    Returns:
        "20250131-235959-a1b2c3".
    """
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


@app.command()
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
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.extras import STUDENT, require
    from distillery.components.store import open_store
    from distillery.components.student.resolve import resolve_base
    from distillery.pipelines.cli.ending import end_decided, end_failed
    from distillery.pipelines.cli.live import watch
    from distillery.pipelines.laptop.events import LocalRun, Tail
    from distillery.pipelines.laptop.run import start

    require(STUDENT)
    uri = store_uri(store)
    opened = open_store(uri)
    request = RunRequest(
        filter, uri, articles, labels, profile, tuple(set), max_rejects, marks, without_calibration, in_all(budget)
    ).absolute()
    # The same check as the first step's, so that a typo is answered in half a second.
    ready = preflight(opened, request)
    # Before an oracle is paid: the base model that training needs can be had.
    student = read_filter(opened, ready.outputs["filter_key"]).spec.student
    resolve_base(student.baseModel, student.revision, opened)
    run, scratch = new_run(), Path(tempfile.mkdtemp(prefix="distillery-"))
    events, log = scratch / "events.jsonl", scratch / "run.log"
    process = start(request, run=run, events=events, log=log)
    try:
        watched = watch(LocalRun(process, Tail(events)), WATCHED)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    if watched.failure or "decision" not in watched.outputs:
        running = [view.name for view in watched.steps.values() if view.state == "started"]
        silent = "its process ended without a word (killed, or out of memory)"
        failure = watched.failure or Failure(step=running[-1] if running else "run", kind="fault", message=silent)
        try:
            end_failed(failure, watched, uri, again="command", log=log)
        finally:
            if failure.kind != "fault":
                shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    end_decided(watched, opened, uri, run, filter=filter, shown_store=store, as_json=as_json)


@app.command()
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
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store
    from distillery.pipelines.plan import make_plan, render_plan
    from distillery.pipelines.steps import RunState

    request = RunRequest(
        filter, store_uri(store), articles, labels, profile, tuple(set), max_rejects, marks, without_calibration, in_all(budget)
    ).absolute()
    resolved = resolve(request)
    run = RunState(open_store(request.store, write=False), *resolved, max_rejects)
    steps = make_plan(run, marks=request.marks, waived=request.without_calibration)
    if as_json:
        print_json({"filter": resolved.filter.name, "steps": [step.to_json() for step in steps]})
    else:
        print(render_plan(steps))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for articles.jsonl and replies.jsonl")] = Path(".demo"),
) -> None:
    """Write the demo corpus: articles with known true scores, and an oracle's recorded replies to them."""
    from distillery.components.demo.write import write_demo

    files = write_demo(out)
    print(f"{files.n_articles:,} articles: {files.articles}\nrecorded oracle replies: {files.replies}")
