"""`distillery logs`: what the processes of a run print, on this machine or in the pods of a cluster."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import JsonOpt, StoreOpt, open_existing
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.cli.publish import EndpointOpt

if TYPE_CHECKING:
    from distillery.components.store import Store

app = typer.Typer()


@app.command()
def logs(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="as `get runs` and `submit` show it; its beginning does for one here")
    ],
    step: Annotated[str, typer.Argument(metavar="[STEP]", help="only what this step printed")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on to the end of the run")] = False,
    store: StoreOpt = None,
    endpoint: EndpointOpt = "",
    namespace: Annotated[str, typer.Option("--namespace", help="of the run's pods; default: kubeflow")] = "",
    as_json: JsonOpt = False,
) -> None:
    """Print what the processes of a run printed: from its log here or in the store, or from its pods on a cluster."""
    if follow and as_json:
        raise InputError("prints one object, and --follow goes on", where="--json", hint="leave one of them out")
    if _of_kubeflow(run):
        found = _in_pods(run, step, follow, endpoint, namespace)
    else:
        run, found = _here(run, step, follow, store)
    if as_json:
        print_json({"run": run, "lines": [{"step": name, "text": text} for name, text in found]})
        return
    try:
        for name, text in found:
            print(text if step else f"{name:<10} {text}".rstrip(), flush=follow)
    except KeyboardInterrupt:
        print("the run goes on", file=sys.stderr)
        print_error("the run goes on", where=run, code=ExitCode.INTERRUPTED)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _of_kubeflow(run: str) -> bool:
    """True if a run's name is one that Kubeflow gave."""
    try:
        return str(uuid.UUID(run)) == run
    except ValueError:
        return False


def _here(text: str, step: str, follow: bool, store: str | None) -> tuple[str, Iterator[tuple[str, str]]]:
    """Return the name and the lines of a run on this machine, or of one whose log is in the store."""
    from distillery.pipelines.laptop.logs import find_run, follow_log, read_log

    opened: Store = open_existing(store)
    run = find_run(opened, text)
    if _of_kubeflow(run):
        raise InputError("ran on a cluster", where=f"run {text}", hint=f"name it whole: distillery logs {run}")
    return run, _of_step(follow_log(opened, run) if follow else read_log(opened, run), run, step)


def _of_step(lines: Iterable[tuple[str, str]], run: str, step: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of one step, or all of them."""
    steps: dict[str, None] = {}
    for name, text in lines:
        steps[name] = None
        if step in ("", name):
            yield name, text
    if step and step not in steps:
        hint = f"it has: {', '.join(steps)}" if steps else "nothing was printed"
        raise InputError(f"step {step[:40]} printed nothing", where=f"run {run}", hint=hint)


def _in_pods(run: str, step: str, follow: bool, endpoint: str, namespace: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of the pods of a run of Kubeflow's."""
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.logs import follow_logs, run_logs

    kubeflow = Kubeflow(endpoint, namespace) if endpoint or follow else None
    if kubeflow is not None:
        kubeflow.get(run)  # a run that isn't there is told at once
    if follow and kubeflow is not None:
        known = kubeflow
        return follow_logs(run, step, namespace, lambda: not known.active(run))
    try:
        return iter(list(run_logs(run, step, namespace)))
    except InputError as error:
        page = kubeflow.page(run) if kubeflow else ""
        if not page:
            raise
        raise InputError(error.what, where=error.where, hint=f"{error.hint}; what was archived is in the UI: {page}") from None
