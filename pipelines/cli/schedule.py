"""`distillery schedule` and `suspend`: Kubeflow starts `distill` for a filter by a clock, or no longer does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.filters.errors import InputError, Stopped
from distillery.pipelines.cli.options import (
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
    in_all,
    settings,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.publish import EndpointOpt, LightOpt, TorchOpt
from distillery.pipelines.cli.spending import priced
from distillery.pipelines.cli.submitting import AccountOpt, GpusOpt, NamespaceOpt, TrainerOpt, prepare_agreed, store_address

if TYPE_CHECKING:
    from distillery.pipelines.cluster.schedules import Schedule

app = typer.Typer()

ZONE = "in UTC, unless the cluster's operator set another zone"


@app.command()
def schedule(
    filter: FilterArg,
    cron: Annotated[
        str, typer.Option("--cron", metavar="'M H D M W'", help='when, five fields: "0 3 * * *" is every night at 3')
    ],
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
    yes: YesOpt = False,
    trainer: TrainerOpt = "pod",
    gpus: GpusOpt = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be created; create and upload nothing")] = False,
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    service_account: AccountOpt = "",
    light_image: LightOpt = "",
    torch_image: TorchOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Let Kubeflow start `distill` by a clock, with the filter as it is now. Typed again, it replaces what was scheduled."""
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store
    from distillery.filters.cron import six_fields
    from distillery.pipelines.cluster.schedules import put_schedule, schedule_name
    from distillery.pipelines.cluster.submit import Unwritten

    when = six_fields(cron)
    uri = store_address(store)
    opened = Unwritten.of(open_store(uri, write=False)) if dry_run else open_store(uri)
    request = RunRequest(
        filter,
        uri,
        articles,
        labels,
        profile,
        settings(set, map, mapping, filter=filter, profile=profile),
        max_rejects,
        marks,
        without_calibration,
        in_all(budget),
        trainer,
        gpus,
    )
    prepared = prepare_agreed(opened, priced(request.absolute(), prices), budget=budget, yes=yes or dry_run)
    name = schedule_name(prepared.pipeline, prepared.filter)
    if dry_run:
        made = {"pipeline": prepared.pipeline, "experiment": prepared.filter, "parameters": prepared.parameters}
        print_json({"name": name, "cron": when, **made, "max_concurrency": 1, "catch_up": False, "created": False})
        return
    from distillery.pipelines.cluster.kubeflow import Kubeflow

    kubeflow = Kubeflow(endpoint, namespace)
    version = kubeflow.published(prepared.pipeline, light=light_image, torch=torch_image)
    made_now, done = put_schedule(
        kubeflow, version, name, when, prepared.parameters, experiment=prepared.filter, account=service_account
    )
    if as_json:
        print_json({**row_of(made_now), "done": done, "version": version.name})
        return
    seconds = "" if when == cron.strip() else " (seconds first, as Kubeflow has it)"
    print(f"{done} {name}: {when}{seconds}, {ZONE}")
    print(f"version   {version.name}\nend it    distillery suspend {prepared.filter}")


@app.command()
def suspend(
    filter: FilterArg,
    delete: Annotated[bool, typer.Option("--delete", help="remove the schedule; else `schedule` resumes it")] = False,
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Let Kubeflow start nothing more for a filter by a clock; a run that goes on is left alone."""
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.schedules import remove_schedule, schedule_name, schedules, suspend_schedule

    filter_name = _name_of(filter)
    kubeflow = Kubeflow(endpoint, namespace)
    name = schedule_name("distill", filter_name)
    found = schedules(kubeflow, name)
    if not found:
        hint = "see `distillery get schedules`"
        raise InputError(f"{filter_name[:80]} has no schedule", where=kubeflow.endpoint, hint=hint)
    runs: list[str] = []
    for one in found:
        if delete:
            runs += remove_schedule(kubeflow, one)
        else:
            suspend_schedule(kubeflow, one)
    if runs:
        what = f"{name} is suspended, not deleted: run {runs[0]} goes on, and Kubeflow would delete it with its schedule"
        raise Stopped(what, hint=f"say --delete again when it has ended, or end it: distillery submit --cancel {runs[0]}")
    done = "deleted" if delete else "suspended"
    if as_json:
        print_json({"name": name, "done": done})
    else:
        print(f"{done} {name}; " + ("`distillery schedule` makes a new one" if delete else "`distillery schedule` resumes it"))


def _name_of(filter: str) -> str:
    """Return the name of a filter, also of one whose file is here no more."""
    from distillery.filters.loading import load_filter

    try:
        return load_filter(filter).name
    except InputError:
        if not filter.replace("-", "").isalnum():
            raise
        print(f"no filter {filter} here; looking for a schedule of that name", file=sys.stderr)
        return filter


def row_of(one: Schedule) -> dict[str, Any]:
    """Return a schedule as `get schedules` lists it.

    Args:
        one: The schedule.

    Returns:
        Plain JSON values by column.
    """
    pipeline, _, filter = one.name.partition("-")
    return {
        "id": one.id,
        "name": one.name,
        "filter": filter or None,
        "pipeline": pipeline,
        "cron": one.cron,
        "state": "enabled" if one.enabled else "suspended",
        "parameters": one.parameters,
        "modified": one.created or None,
        "error": None,
    }
