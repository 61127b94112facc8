"""What every submission shares: its options, the store that pods reach, the run's start, and following it to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.asking import in_terminal
from distillery.pipelines.cli.options import store_uri
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.cli.spending import agree
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


def start_claimed(
    opened: Store, prepared: Prepared, endpoint: str, namespace: str, account: str, light: str, torch: str
) -> tuple[Kubeflow, Claim]:
    """Start a run, or find the unfinished one of the same inputs, and say which.

    Args:
        opened: The store that pods reach.
        prepared: What the run is started with.
        endpoint: URL of Kubeflow's API.
        namespace: The user's; empty on an installation for one.
        account: The run's service account; empty for Kubeflow's default.
        light: Image without torch; empty for the newest published version.
        torch: Image with torch; empty for the newest published version.

    Returns:
        Where the run runs, and the run.

    Raises:
        InputError: Kubeflow refuses the run, or no version is published.
        Stopped: Kubeflow can't be reached.
    """
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.submit import start

    kubeflow = Kubeflow(endpoint, namespace)
    version = kubeflow.published(prepared.pipeline, light=light, torch=torch)
    claimed = start(kubeflow, opened, version, prepared, account=account)
    page = kubeflow.page(claimed.run)
    begun = "submitted" if claimed.mine else "already running, not started again:"
    print(f"{begun} run {claimed.run} ({claimed.name})" + (f"\n{page}" if page else ""), file=sys.stderr)
    return kubeflow, claimed


def tell(kubeflow: Kubeflow, claimed: Claim, uri: str, *, as_json: bool) -> None:
    """Print what was started, for whoever follows it later.

    Args:
        kubeflow: Where the run runs.
        claimed: The run.
        uri: The store's address.
        as_json: True for one JSON object.
    """
    if as_json:
        page = kubeflow.page(claimed.run) or None
        print_json({"run": claimed.run, "name": claimed.name, "started": claimed.mine, "store": uri, "page": page})
    else:
        print(how_to(claimed.run), file=sys.stderr)


def how_to(run: str) -> str:
    """Return the commands that follow and end a run.

    Args:
        run: Its id.

    Returns:
        Two lines.
    """
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


def watch_run(kubeflow: Kubeflow, uri: str, run: str, steps: Iterable[str]) -> tuple[Watched, Store]:
    """Follow a run to its end.

    Args:
        kubeflow: Where the run runs.
        uri: The store's address.
        run: The run's id.
        steps: Names of the steps that have a line from the start.

    Returns:
        What its steps told, and the run's store.

    Raises:
        Exit: With 130 where the user ended the following; the run goes on.
    """
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
        print(f"\nthe run goes on\n{how_to(run)}", file=sys.stderr)
        print_error("the run goes on", where=run, hint=how_to(run), code=ExitCode.INTERRUPTED)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    return watched, opened
