"""`distillery submit`: a run on a Kubeflow cluster, with the flags, the view and the exit codes of a run on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.asking import in_terminal
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
    store_uri,
)
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.cli.publish import EndpointOpt, LightOpt, TorchOpt
from distillery.pipelines.cli.spending import agree, priced
from distillery.pipelines.results import shown_path

if TYPE_CHECKING:
    from distillery.components.preflight.request import RunRequest
    from distillery.components.store import Store
    from distillery.pipelines.cluster.claims import Claim
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.submit import Prepared
    from distillery.pipelines.run_view import Watched

NamespaceOpt = Annotated[str, typer.Option("--namespace", help="yours, on a Kubeflow of several users")]
AccountOpt = Annotated[str, typer.Option("--service-account", help="the run's; empty: Kubeflow's default")]
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
    kubeflow, claimed = _start(opened, prepared, endpoint, namespace, service_account, light_image, torch_image)
    if watch:
        _follow(kubeflow, uri, claimed.run, as_json=as_json, filter=filter)
    else:
        _tell(kubeflow, claimed, uri, as_json=as_json)


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
    kubeflow, claimed = _start(opened, prepared, endpoint, namespace, service_account, light_image, torch_image)
    if watch:
        _follow_score(kubeflow, uri, claimed.run, as_json=as_json)
    else:
        _tell(kubeflow, claimed, uri, as_json=as_json)


def prepare_agreed(opened: Store, request: RunRequest, *, budget: float | None, yes: bool) -> Prepared:
    """Prepare a run of `distill`, after it was said what its labels cost and a person in a terminal agreed.

    Args:
        opened: The store that pods reach.
        request: The run's arguments, with absolute paths.
        budget: US dollars as typed; None where there is no limit.
        yes: True to ask nothing.

    Returns:
        What the run is started with.

    Raises:
        InputError: The first step would refuse the request.
        Stopped: The user said no.
    """
    from distillery.components.preflight.preflight import check
    from distillery.components.store import in_bucket
    from distillery.pipelines.cluster.submit import prepare

    resolved = check(request)
    # A quote reads the articles: those of a bucket are fetched only where somebody is asked.
    if resolved.articles and (not in_bucket(resolved.articles) or (in_terminal() and not yes)):
        agree(opened, resolved.articles, [(resolved.filter, None)], budget=budget, yes=yes, here=False)
    return prepare(opened, request)


def _start(
    opened: Store, prepared: Prepared, endpoint: str, namespace: str, account: str, light: str, torch: str
) -> tuple[Kubeflow, Claim]:
    """Start a run, or find the unfinished one of the same inputs, and say which."""
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.submit import start

    kubeflow = Kubeflow(endpoint, namespace)
    version = kubeflow.published(prepared.pipeline, light=light, torch=torch)
    claimed = start(kubeflow, opened, version, prepared, account=account)
    page = kubeflow.page(claimed.run)
    begun = "submitted" if claimed.mine else "already running, not started again:"
    print(f"{begun} run {claimed.run} ({claimed.name})" + (f"\n{page}" if page else ""), file=sys.stderr)
    return kubeflow, claimed


def _tell(kubeflow: Kubeflow, claimed: Claim, uri: str, *, as_json: bool) -> None:
    """Print what was started, for whoever follows it later."""
    if as_json:
        page = kubeflow.page(claimed.run) or None
        print_json({"run": claimed.run, "name": claimed.name, "started": claimed.mine, "store": uri, "page": page})
    else:
        print(_how_to(claimed.run), file=sys.stderr)


def _how_to(run: str) -> str:
    return f"follow it   distillery submit --follow {run}\nend it      distillery submit --cancel {run}"


def store_address(store: str | None) -> str:
    """Return the URI of a store that pods reach.

    Args:
        store: As for `store_uri`.

    Returns:
        An s3:// address without a slash at its end.

    Raises:
        InputError: It lies on this machine.
    """
    from distillery.components.store import in_bucket

    uri = store_uri(store).rstrip("/")
    if not in_bucket(uri):
        hint = "give --store s3://bucket/prefix, the cluster's, or set DISTILLERY_STORE"
        raise InputError("pods can't reach it", where=f"--store {shown_path(uri)}", hint=hint)
    return uri


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

    watched, opened = _watch(kubeflow, uri, run, WATCHED)
    if watched.failure or "decision" not in watched.outputs:
        failure = watched.failure or Failure(step="run", kind="fault", message="it ended without a decision")
        end_failed(failure, watched, uri, again="submission")
    end_decided(watched, opened, uri, run, filter=filter, shown_store=uri, as_json=as_json)


def _follow_score(kubeflow: Kubeflow, uri: str, run: str, *, as_json: bool) -> None:
    from distillery.components.artifacts.run_summary import Failure
    from distillery.pipelines.cli.ending import end_failed
    from distillery.pipelines.cli.score import print_scores
    from distillery.pipelines.inventory.runs import SCORE

    watched, _ = _watch(kubeflow, uri, run, (SCORE,))
    record = watched.records.get(SCORE)
    if watched.failure or record is None:
        failure = watched.failure or Failure(step=SCORE, kind="fault", message="it ended without a record")
        end_failed(failure, watched, uri, again="submission")
    found = {**record.outputs, "out": record.outputs["scores"], "reused": record.reused, "seconds": record.seconds or 0.0}
    if as_json:
        print_json({**found, "run": run, "store": uri})
    else:
        print_scores(found)


def _watch(kubeflow: Kubeflow, uri: str, run: str, steps: Iterable[str]) -> tuple[Watched, Store]:
    """Follow a run to its end, and return what its steps told, with the run's store."""
    from distillery.components.store import open_store
    from distillery.pipelines.cli.live import watch
    from distillery.pipelines.cluster.events import ClusterRun, retry_forever, settle

    try:
        kubeflow.get(run)
        opened = retry_forever(lambda: open_store(uri, write=False))
        source = ClusterRun(kubeflow, opened, run)
        watched = watch(source, steps)
        settle(source, watched)
    except KeyboardInterrupt:
        print(f"\nthe run goes on\n{_how_to(run)}", file=sys.stderr)
        print_error("the run goes on", where=run, hint=_how_to(run), code=ExitCode.INTERRUPTED)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    return watched, opened
