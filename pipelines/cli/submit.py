"""`distillery submit`: a run on a Kubeflow cluster, with the flags, the view and the exit codes of a run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli import submit_selection
from distillery.pipelines.cli.options import (
    ArticlesOpt,
    BudgetOpt,
    ChannelOpt,
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
    SubjectArg,
    UncalibratedOpt,
    YesOpt,
    in_all,
    require_filter,
    settings,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.publish import EndpointOpt, LightOpt, TorchOpt
from distillery.pipelines.cli.spending import priced
from distillery.pipelines.cli.submit_selection import follow_selection
from distillery.pipelines.cli.submitting import (
    AccountOpt,
    GpusOpt,
    NamespaceOpt,
    TrainerOpt,
    WatchOpt,
    prepare_agreed,
    start_claimed,
    store_address,
    tell,
    watch_run,
)

if TYPE_CHECKING:
    from distillery.pipelines.cluster.kubeflow import Kubeflow

app = typer.Typer(help="Run a pipeline on a Kubeflow cluster; follow or cancel a run.", no_args_is_help=True)


app.add_typer(submit_selection.app)


@app.callback(invoke_without_command=True)
def submit(
    context: typer.Context,
    follow: Annotated[str, typer.Option("--follow", metavar="RUN", help="follow a run that was submitted")] = "",
    cancel: Annotated[str, typer.Option("--cancel", metavar="RUN", help="end a run that was submitted")] = "",
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    store: StoreOpt = None,
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
    stated = ((config.parameters if config else None) or {}).get("store")
    uri = str(stated) if stated else store
    if cancel:
        _cancel(kubeflow, uri, cancel, state=str(run.state), as_json=as_json)
    elif "candidates" in ((config.parameters if config else None) or {}):
        follow_selection(kubeflow, store_address(uri), follow, as_json=as_json)
    elif "adapter" in ((config.parameters if config else None) or {}):  # of the score pipeline
        _follow_score(kubeflow, store_address(uri), follow, as_json=as_json)
    else:
        _follow(kubeflow, store_address(uri), follow, as_json=as_json)


@app.command()
def distill(
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
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import open_store

    uri = store_address(store)
    opened = open_store(uri)
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
    prepared = prepare_agreed(opened, priced(request.absolute(), prices), budget=budget, yes=yes)
    kubeflow, claimed = start_claimed(opened, prepared, endpoint, namespace, service_account, light_image, torch_image)
    if watch:
        _follow(kubeflow, uri, claimed.run, as_json=as_json, filter=filter)
    else:
        tell(kubeflow, claimed, uri, as_json=as_json)


@app.command()
def score(
    subject: SubjectArg,
    articles: Annotated[str, typer.Argument(metavar="ARTICLES", help="a file, or s3:// of one or of a prefix of files")],
    out: Annotated[str, typer.Option("--out", metavar="URI", help="s3:// of the scores; default: scores/ in the store")] = "",
    channel: ChannelOpt = "",
    shards: Annotated[int, typer.Option("--shards", metavar="N", min=0, help="parts; 0 chooses by the corpus's size")] = 0,
    parallelism: Annotated[int, typer.Option("--parallelism", metavar="N", min=0, help="pods at once; 0 chooses")] = 0,
    store: StoreOpt = None,
    map: MapOpt = [],  # noqa: B006 - typer reads the default
    watch: WatchOpt = False,
    endpoint: EndpointOpt = "",
    namespace: NamespaceOpt = "",
    service_account: AccountOpt = "",
    light_image: LightOpt = "",
    torch_image: TorchOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Start `score` on the cluster, with what the channel points at then. The same inputs twice are one run while it lasts."""
    from distillery.components.preflight.request import absolute
    from distillery.components.store import open_store
    from distillery.pipelines.cluster.submit import prepare_score

    require_filter(subject, channel)
    uri = store_address(store)
    opened = open_store(uri)
    prepared = prepare_score(
        opened,
        subject,
        absolute(articles),
        channel=channel,
        out=out,
        shards=shards,
        parallelism=parallelism,
        columns=map,
    )
    kubeflow, claimed = start_claimed(opened, prepared, endpoint, namespace, service_account, light_image, torch_image)
    if watch:
        _follow_score(kubeflow, uri, claimed.run, as_json=as_json)
    else:
        tell(kubeflow, claimed, uri, as_json=as_json)


def _cancel(kubeflow: Any, store: str | None, run: str, *, state: str, as_json: bool) -> None:
    import contextlib
    import time

    from distillery.pipelines.cluster.events import mark_cancelled
    from distillery.pipelines.cluster.kubeflow import ENDED

    outcome = f"had ended before: {state}"
    if state not in ENDED:
        kubeflow.cancel(run)
        with contextlib.suppress(Exception):  # a run can be ended from where its store can't be reached
            mark_cancelled(store_address(store), run)
        while kubeflow.active(run):
            time.sleep(1)
        outcome = "cancelled"
    if as_json:
        print_json({"run": run, "cancelled": outcome == "cancelled"})
    else:
        print(f"run {run} {outcome}")


def _follow(kubeflow: Kubeflow, uri: str, run: str, *, as_json: bool, filter: str = "") -> None:
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.artifacts.steps import WATCHED
    from distillery.pipelines.cli.ending import end_decided, end_failed

    watched, opened = watch_run(kubeflow, uri, run, WATCHED)
    if watched.failure or "decision" not in watched.outputs:
        failure = watched.failure or Failure(step="run", kind="fault", message="it ended without a decision")
        end_failed(failure, watched, uri, again="submission")
    end_decided(watched, opened, uri, run, filter=filter, shown_store=uri, as_json=as_json)


def _follow_score(kubeflow: Kubeflow, uri: str, run: str, *, as_json: bool) -> None:
    from distillery.components.artifacts.run_summary import Failure
    from distillery.pipelines.cli.ending import end_failed
    from distillery.pipelines.cli.score import print_scores
    from distillery.pipelines.inventory.runs import SCORE

    watched, _ = watch_run(kubeflow, uri, run, (SCORE,))
    record = watched.records.get(SCORE)
    if watched.failure or record is None:
        failure = watched.failure or Failure(step=SCORE, kind="fault", message="it ended without a record")
        end_failed(failure, watched, uri, again="submission")
    found = {**record.outputs, "out": record.outputs["scores"], "reused": record.reused, "seconds": record.seconds or 0.0}
    if as_json:
        print_json({**found, "run": run, "store": uri})
    else:
        print_scores(found)
