"""`distillery check`: what this machine, the store, the oracle and the cluster lack for a run, before one is started."""

from __future__ import annotations

from typing import Annotated

import typer

from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import JsonOpt, PricesOpt, ProfileOpt, SetOpt, StoreOpt, store_uri
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.publish import EndpointOpt

app = typer.Typer()
MARK = {"ok": "ok", "absent": "-", "fault": "FAULT"}


@app.command()
def check(
    filter: Annotated[
        str,
        typer.Argument(
            metavar="[FILTER]", help="whose base model, oracle and price are checked, too", autocompletion=completion.filters
        ),
    ] = "",
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    prices: PricesOpt = "",
    call: Annotated[bool, typer.Option("--call", help="ask the oracle once, about an article of our own")] = False,
    endpoint: EndpointOpt = "",
    namespace: Annotated[str, typer.Option("--namespace", help="yours in Kubeflow, where it is for several users")] = "",
    report: Annotated[bool, typer.Option("--bug-report", help="print what a report of a fault should carry")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Say what a run would lack, and how to get it: packages, store, base model, oracle, price, Kubeflow, Kubernetes."""
    from distillery.components.preflight.preflight import resolve_filter
    from distillery.components.preflight.request import absolute_overrides
    from distillery.pipelines.checks import Check, bug_report, checks

    flt = resolve_filter(filter, profile=profile, overrides=absolute_overrides(set)) if filter else None
    found = list[Check]()
    for one in checks(flt, store=store_uri(store), prices=prices, call=call, endpoint=endpoint, namespace=namespace):
        found.append(one)
        if not (report or as_json):
            print(f"{one.name:<18} {MARK[one.status]:<6} {one.what}")
            if one.hint:
                print(f"{'':<25} {one.hint}")
    if as_json:
        carried = {"report": bug_report(found)} if report else {}
        print_json({"checks": [one.to_json() for one in found], **carried})
    elif report:
        print(bug_report(found))
    raise typer.Exit(max((one.code for one in found), default=0))
