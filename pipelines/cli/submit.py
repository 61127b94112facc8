"""`distillery submit`: a run on a Kubeflow cluster, with the flags, the view and the exit codes of a run on this machine."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.asking import in_terminal
from distillery.pipelines.cli.options import (
    ArticlesOpt,
    BudgetOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MarksOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    UncalibratedOpt,
    YesOpt,
    in_all,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.cli.publish import EndpointOpt, LightOpt, TorchOpt
from distillery.pipelines.cli.spending import agree, priced

NamespaceOpt = Annotated[str, typer.Option("--namespace", help="yours, on a Kubeflow of several users")]
AccountOpt = Annotated[str, typer.Option("--service-account", help="the run's; empty: Kubeflow's default")]
StoreOpt = Annotated[str, typer.Option("--store", metavar="URI", envvar="DISTILLERY_STORE", help="object store, s3://")]
TrainerOpt = Annotated[
    str,
    typer.Option(
        "--trainer",
        metavar="pod|trainjob",
        help="one pod, or a TrainJob over several nodes",
        autocompletion=lambda: ["pod", "trainjob"],
    ),
]
GpusOpt = Annotated[int, typer.Option("--gpus", min=0, help="GPUs of the training pod")]
WatchOpt = Annotated[bool, typer.Option("--watch", help="follow the run to its end")]

app = typer.Typer(help="Run a pipeline on a Kubeflow cluster; follow or cancel a run.", no_args_is_help=True)


@app.callback(invoke_without_command=True)
def submit(
    context: typer.Context,
    follow: Annotated[str, typer.Option("--follow", metavar="RUN", help="follow a run that was submitted")] = "",
    cancel: Annotated[str, typer.Option("--cancel", metavar="RUN", help="end a run that was submitted")] = "",
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    store: StoreOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Follow or end a run that was submitted; do nothing where a pipeline is to be submitted."""
    if context.invoked_subcommand is not None:
        if follow or cancel:
            raise InputError("--follow and --cancel take a run, not a pipeline", hint="type `distillery submit --follow RUN`")
        return
    if bool(follow) == bool(cancel):
        raise InputError("neither a pipeline, --follow nor --cancel", hint="type `distillery submit distill FILTER …`")
    from distillery.pipelines.cluster.kubeflow import Kubeflow

    kubeflow = Kubeflow(endpoint, namespace)
    run = kubeflow.get(follow or cancel)
    config = run.runtime_config
    uri = str(((config.parameters if config else None) or {}).get("store") or store)
    if cancel:
        _cancel(kubeflow, uri, cancel, state=str(run.state), as_json=as_json)
    else:
        _follow(kubeflow, _store_address(uri), follow, as_json=as_json)


@app.command()
def distill(
    filter: FilterArg,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    store: StoreOpt = "",
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    max_rejects: RejectsOpt = "0",
    marks: MarksOpt = "",
    without_calibration: UncalibratedOpt = "",
    budget: BudgetOpt = None,
    prices: PricesOpt = "",
    yes: YesOpt = False,
    trainer: TrainerOpt = "pod",
    gpus: GpusOpt = 0,
    watch: WatchOpt = False,
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    service_account: AccountOpt = "",
    light_image: LightOpt = "",
    torch_image: TorchOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Start `distill` on the cluster. The same inputs twice are one run while it lasts; later, what is done is reused."""
    from distillery.components.preflight.preflight import check
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import in_bucket, open_store
    from distillery.pipelines.cluster.submit import prepare, start

    uri = _store_address(store)
    opened = open_store(uri)
    request = RunRequest(
        filter,
        uri,
        articles,
        labels,
        profile,
        settings(set, map),
        max_rejects,
        marks,
        without_calibration,
        in_all(budget),
        trainer,
        gpus,
    )
    request = priced(request.absolute(), prices)
    resolved = check(request)
    # A quote reads the articles: those of a bucket are fetched only where somebody is asked.
    if resolved.articles and (not in_bucket(resolved.articles) or (in_terminal() and not yes)):
        agree(opened, resolved.articles, [(resolved.filter, None)], budget=budget, yes=yes)
    prepared = prepare(opened, request)
    from distillery.pipelines.cluster.kubeflow import Kubeflow

    kubeflow = Kubeflow(endpoint, namespace)
    version = kubeflow.published("distill", light=light_image, torch=torch_image)
    claimed = start(kubeflow, opened, version, prepared, account=service_account)
    page = kubeflow.page(claimed.run)
    begun = "submitted" if claimed.mine else "already running, not started again:"
    print(f"{begun} run {claimed.run} ({claimed.name})" + (f"\n{page}" if page else ""), file=sys.stderr)
    if watch:
        _follow(kubeflow, uri, claimed.run, as_json=as_json, filter=filter)
    elif as_json:
        print_json({"run": claimed.run, "name": claimed.name, "started": claimed.mine, "store": uri, "page": page or None})
    else:
        print(_how_to(claimed.run), file=sys.stderr)


def _how_to(run: str) -> str:
    return f"follow it   distillery submit --follow {run}\nend it      distillery submit --cancel {run}"


def _store_address(store: str) -> str:
    from distillery.components.store import in_bucket

    if not store:
        raise InputError("which store?", hint="give --store s3://bucket/prefix or set DISTILLERY_STORE")
    if not in_bucket(store):
        raise InputError("pods can't reach it", where=f"--store {store}", hint="use the s3:// store of the cluster")
    return store_uri(store).rstrip("/")


def _cancel(kubeflow: Any, store: str, run: str, *, state: str, as_json: bool) -> None:
    import contextlib
    import time

    from distillery.pipelines.cluster.events import mark_cancelled
    from distillery.pipelines.cluster.kubeflow import ENDED

    outcome = f"had ended before: {state}"
    if state not in ENDED:
        kubeflow.cancel(run)
        with contextlib.suppress(Exception):  # a run can be ended from where its store can't be reached
            mark_cancelled(_store_address(store), run)
        while kubeflow.active(run):
            time.sleep(1)
        outcome = "cancelled"
    if as_json:
        print_json({"run": run, "cancelled": outcome == "cancelled"})
    else:
        print(f"run {run} {outcome}")


def _follow(kubeflow: Any, uri: str, run: str, *, as_json: bool, filter: str = "") -> None:
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.artifacts.steps import WATCHED
    from distillery.components.store import open_store
    from distillery.pipelines.cli.ending import end_decided, end_failed
    from distillery.pipelines.cli.live import watch
    from distillery.pipelines.cluster.events import ClusterRun, retry_forever, settle

    try:
        kubeflow.get(run)
        opened = retry_forever(lambda: open_store(uri, write=False))
        source = ClusterRun(kubeflow, opened, run)
        watched = watch(source, WATCHED)
        settle(source, watched)
    except KeyboardInterrupt:
        print(f"\nthe run goes on\n{_how_to(run)}", file=sys.stderr)
        print_error("the run goes on", where=run, hint=_how_to(run), code=ExitCode.INTERRUPTED)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if watched.failure or "decision" not in watched.outputs:
        failure = watched.failure or Failure(step="run", kind="fault", message="it ended without a decision")
        end_failed(failure, watched, uri, again="submission")
    end_decided(watched, opened, uri, run, filter=filter, shown_store=uri, as_json=as_json)
