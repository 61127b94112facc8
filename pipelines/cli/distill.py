"""`distillery distill`, `plan` and `demo`: the whole pipeline on this machine."""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.components.articles.scratch import delete_folder
from distillery.components.runtime.exit_codes import ExitCode
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import (
    FILTER_HELP,
    ArticlesOpt,
    BudgetOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MappingOpt,
    MarksOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    UncalibratedOpt,
    YesOpt,
    exists,
    in_all,
    require_named_filter,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.cli.spending import agree, priced
from distillery.pipelines.results import shown_path

if TYPE_CHECKING:
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import Store

app = typer.Typer()


def new_run() -> str:
    """Return a new name for a run; names sort by time, and two of one second differ.

    Returns:
        "20250131-235959-a1b2c3".
    """
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def remove(folder: Path, *, but: Path | None = None) -> None:
    """Remove a folder, whatever is in it.

    Args:
        folder: The folder.
        but: A file directly in it that stays, and the folder with it; None for nothing.
    """
    if but is None:
        delete_folder(folder)
        return
    for path in folder.iterdir():
        if path != but:
            delete_folder(path) if path.is_dir() else path.unlink(missing_ok=True)


PlanOpt = Annotated[
    str, typer.Option("--plan", metavar="FILE", help="run what `plan --out FILE` wrote, if nothing moved since")
]


def _as_planned(file: str, given: dict[str, object]) -> RunRequest:
    """Return the request of a plan that still holds; say what moved, line by line, and end where something did."""
    from distillery.filters.errors import InputError
    from distillery.pipelines.planned_run import moved, plan_run, read_plan

    if more := [name for name, value in given.items() if value]:
        what = f"a plan has its own {', '.join(more)}"
        raise InputError(what, where=f"--plan {file}", hint="give --plan alone, or plan again with what you want")
    plan = read_plan(Path(file))
    request = plan.request.request()
    if lines := moved(plan, plan_run(request)[0]):
        print("\n".join(f"moved: {line}" for line in lines), file=sys.stderr)
        what, hint = f"{len(lines)} thing{'s' if len(lines) > 1 else ''} moved since the plan", "look, and plan again"
        print(f"error: --plan {file}: {what}; {hint}; nothing was run or spent", file=sys.stderr)
        print_error(what, where=f"--plan {file}", hint=hint, code=ExitCode.INPUT, more={"moved": lines})
        raise typer.Exit(ExitCode.INPUT)
    return request


@app.command()
def distill(
    filter: Annotated[str, typer.Argument(metavar="FILTER", help=FILTER_HELP, autocompletion=completion.filters)] = "",
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    marks: MarksOpt = "",
    without_calibration: UncalibratedOpt = "",
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    plan: PlanOpt = "",
    yes: YesOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Label, audit, split, train, benchmark and gate; then promote, hold or reject. What is done already is reused."""
    from distillery.components.articles.scratch import lasting_folder, room_in
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.artifacts.steps import WATCHED
    from distillery.components.preflight.preflight import check, preflight
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.extras import STUDENT, require
    from distillery.components.store import in_bucket, open_store
    from distillery.components.student.devices import require_packing
    from distillery.components.student.fit import require_gpu_here, require_room_here
    from distillery.components.student.invariance import require_invariance
    from distillery.components.student.memory import body_in
    from distillery.components.student.resolve import resolve_base
    from distillery.components.training.trackers.open import require_trackers
    from distillery.pipelines.cli.ending import end_decided, end_failed
    from distillery.pipelines.cli.live import watch
    from distillery.pipelines.laptop.endings import ending, oom_kills
    from distillery.pipelines.laptop.events import LocalRun, Tail
    from distillery.pipelines.laptop.logs import LOG, growing, scratch_prefix
    from distillery.pipelines.laptop.repeat import repeat
    from distillery.pipelines.laptop.run import FEED, start, stop
    from distillery.pipelines.plan import Planned, due, make_plan
    from distillery.pipelines.steps import RunState

    require(STUDENT)
    if plan:
        own: dict[str, object] = {"FILTER": filter, "--labels": labels, "--articles": articles, "--profile": profile}
        own |= {
            "--set": set,
            "--map": map,
            "--mapping": mapping,
            "--marks": marks,
            "--without-calibration": without_calibration,
        }
        own |= {"--budget": budget, "--prices": prices, "--store": store}
        request = _as_planned(plan, own)
        filter, store, without_calibration = request.filter, shown_path(request.store), request.without_calibration
        max_rejects, budget = request.max_rejects, request.budget or None
    else:
        require_named_filter(filter)
        request = RunRequest(
            filter,
            store_uri(store),
            articles,
            labels,
            profile,
            settings(set, map, mapping, filter=filter, profile=profile),
            max_rejects,
            marks,
            without_calibration,
            in_all(budget),
        ).absolute()
        request = priced(request, prices)
    uri = request.store
    # The same checks as the first step's, so that a typo or a bad row is answered at once, and nothing is written.
    flt, *files = check(request)
    require_trackers(flt, in_pod=False)
    opened = open_store(uri)  # made here where there is none: a command that is refused leaves no folder
    request = replace(request, articles=files[0], labels=files[1])  # may be the filter's own
    state, steps = RunState(opened, flt, files[0], files[1], max_rejects), list[Planned]()
    if not in_bucket(files[0] or files[1]):  # else planning would fetch what the label step fetches
        steps = make_plan(state, marks=request.marks, waived=without_calibration, budget=request.budget, costs=False)
    again = bool(steps) and not due(steps)
    if not again:
        # Before an oracle is paid: the base model can be had, there is room for it, and its scores don't depend on their batch.
        base = resolve_base(flt.spec.student.baseModel, flt.spec.student.revision, opened)
        require_packing(flt.spec.training)
        for require_fit in (require_room_here, require_gpu_here):
            require_fit(body_in(base.path, base.ref), flt.spec.student, flt.spec.training, len(flt.dimensions))
        require_invariance(base)
        if files[0]:
            agree(opened, files[0], [(flt, None)], budget=budget, yes=yes)
        preflight(opened, request)
    run = new_run()
    scratch = lasting_folder(scratch_prefix(run))
    log, kept = scratch / LOG, False
    working = ExitStack()
    try:
        with room_in(scratch):
            working.enter_context(growing(log))
            kills, process = oom_kills(), None
            if again:
                records = {step.step: step.record for step in steps if step.record}
                repeat(request, state, records, run=run, scratch=scratch)
            else:
                process = start(request, run=run, scratch=scratch)
        try:
            watched = watch(LocalRun(process, Tail(scratch / FEED)), WATCHED)
        finally:
            if process:
                stop(process)
        failure = watched.failure
        if failure is None and "decision" not in watched.outputs:
            running = [view.name for view in watched.steps.values() if view.state == "started"]
            why = ending(
                process.returncode if process else 1, log.read_text(errors="replace"), out_of_memory=oom_kills() > kills
            )
            failure = Failure(step=running[-1] if running else "run", kind="fault", message=why)
        if failure:
            kept = failure.kind == "fault"
            end_failed(failure, watched, uri, again="command", log=log)
    finally:
        if not (
            isinstance(sys.exception(), KeyboardInterrupt) and in_bucket(uri)
        ):  # which may be away, and nobody waits for it
            _keep_log(opened, run, log)
        working.close()
        remove(scratch, but=log if kept else None)
    end_decided(watched, opened, uri, run, filter=filter, shown_store=store or "", as_json=as_json)


def _keep_log(store: Store, run: str, log: Path) -> None:
    """Keep the log of a run that ended, however it did; a store that is away spoils no result."""
    from distillery.components.store import StoreError
    from distillery.pipelines.laptop.logs import keep

    try:
        keep(store, run, log)
    except (StoreError, OSError) as error:
        print(f"the log was not kept: {error}", file=sys.stderr)


@app.command()
def plan(
    filter: FilterArg,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    marks: MarksOpt = "",
    without_calibration: UncalibratedOpt = "",
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="write the plan here, for `distill --plan`")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="end with 5 where something is due, with 0 where not")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Say which steps a `distill` with these flags would run or reuse, which digest moved and why. Runs nothing."""
    from distillery.components.preflight.request import RunRequest
    from distillery.pipelines.plan import due, render_plan
    from distillery.pipelines.planned_run import plan_run, write_plan

    changed = settings(set, map, mapping, filter=filter, profile=profile)
    request = RunRequest(
        filter, store_uri(store), articles, labels, profile, changed, max_rejects, marks, without_calibration, in_all(budget)
    ).absolute()
    made, steps = plan_run(priced(request, prices))
    if out is not None:
        write_plan(made, out)
    if as_json:
        print_json({"filter": made.filter.name, "store": made.request.store, "steps": [step.to_json() for step in steps]})
    else:
        print(render_plan(steps))
        if not exists(made.request.store):
            print(f"no store at {shown_path(made.request.store)} yet: `distill` makes it")
        if out is not None:
            print(f"run it   distillery distill --plan {out}")
    if exit_code and due(steps):
        raise typer.Exit(ExitCode.DUE)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="folder for articles.jsonl and replies.jsonl")] = Path(".demo"),
    as_json: JsonOpt = False,
) -> None:
    """Write the demo corpus: articles with known true scores, and an oracle's recorded replies to them."""
    from distillery.components.demo.write import write_demo

    files = write_demo(out)
    if as_json:
        print_json({"n": files.n_articles, "articles": str(files.articles), "replies": str(files.replies)})
        return
    print(f"{files.n_articles:,} articles: {files.articles}\nrecorded oracle replies: {files.replies}")
