"""`distillery operator`: what Filter objects ask for is done, once or as long as the process lives."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import JsonOpt, StoreOpt
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.publish import EndpointOpt
from distillery.pipelines.cli.submitting import AccountOpt, store_address

if TYPE_CHECKING:
    from distillery.pipelines.operator.reconcile import Pass, World
    from distillery.pipelines.operator.scoring import ScoringWorld

app = typer.Typer()


@app.command("operator")
def operate(
    once: Annotated[bool, typer.Option("--once", help="look at each object once, then end")] = False,
    namespace: Annotated[str, typer.Option("--namespace", help="of the Filter objects; empty: all namespaces")] = "",
    store: StoreOpt = None,
    endpoint: EndpointOpt = "",
    kubeflow_namespace: Annotated[
        str, typer.Option("--kubeflow-namespace", help="where runs run, on a Kubeflow of several users")
    ] = "",
    service_account: AccountOpt = "",
    liveness: Annotated[str, typer.Option("--liveness", metavar="URL", help="page that says that it lives")] = "",
    metrics_port: Annotated[int, typer.Option("--metrics-port", metavar="N", min=0, help="for Prometheus; 0: none")] = 0,
    as_json: JsonOpt = False,
) -> None:
    """Do what Filter objects ask for: start runs, follow them, promote what is approved, write their status."""
    from distillery.components.runtime.extras import require
    from distillery.components.scoring.job_manifest import find_place
    from distillery.components.store import open_store
    from distillery.pipelines.operator.kubernetes import PATIENCE, SCORINGS, Cluster
    from distillery.pipelines.operator.main import Operator, serve
    from distillery.pipelines.operator.reconcile import World
    from distillery.pipelines.operator.scoring import ScoringWorld

    if not once:
        require(("kopf",))
    world = World(
        open_store(store_address(store), patience=PATIENCE),
        _connect(endpoint, kubeflow_namespace),
        Cluster(namespace),
        account=service_account,
    )
    scorings = ScoringWorld(world.store, Cluster(namespace, SCORINGS), lambda: find_place(namespace))
    if once:
        _once(world, scorings, namespace, as_json=as_json)
        return
    from distillery.pipelines.operator.metrics import Metrics

    serve(
        Operator(world, namespace, Metrics()),
        scorings=Operator(scorings, namespace),
        liveness=liveness,
        metrics_port=metrics_port,
    )
    if as_json:
        print_json({"ended": True})


def _connect(endpoint: str, namespace: str) -> Any:
    """Return a function that returns Kubeflow, which is asked for its address once it can be reached."""
    from functools import cache

    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.operator.kubernetes import PATIENCE

    if not endpoint:
        raise InputError("which Kubeflow?", hint="give --endpoint URL or set KFP_ENDPOINT")

    @cache
    def connected() -> Kubeflow:
        return Kubeflow(endpoint, namespace, patience=PATIENCE)

    return connected


def _once(world: World, scorings: ScoringWorld, namespace: str, *, as_json: bool) -> None:
    """Look at each object once; end with 1 where a look did not come to its end."""
    from distillery.pipelines.operator.main import Operator

    passes = []
    for operator in (Operator(world, namespace), Operator(scorings, namespace)):
        for value in operator.listed():
            metadata = value["metadata"]
            if passed := operator.look((metadata["namespace"], metadata["name"])):
                passes.append(passed)
    if as_json:
        print_json({"objects": [_row(each) for each in passes]})
    else:
        for each in passes:
            print(f"{each.object:<40} {each.status['phase']:<20} {each.status.get('digest', '')[:12]}")
        if not passes:
            print("no Filter and no Scoring object", file=sys.stderr)
    if any(each.trouble and not each.trouble.invalid and not each.trouble.input for each in passes):
        raise typer.Exit(ExitCode.FAILED)


def _row(passed: Pass) -> dict[str, Any]:
    trouble = passed.trouble
    shown = {"reason": trouble.reason, "message": trouble.message} if trouble else None
    return {"object": passed.object, "done": list(passed.done), "trouble": shown, "status": passed.status}
