"""How a command ends that followed a run: what is printed, and with which exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from distillery.components.runtime.step import EXIT_CODES as CAUSE_CODES
from distillery.pipelines.cli.printing import print_error, print_json
from distillery.pipelines.results import EXIT_CODES, result_of, shown_path

if TYPE_CHECKING:
    from distillery.components.artifacts.run_summary import Failure
    from distillery.components.store import Store
    from distillery.pipelines.run_view import Watched


def end_decided(
    watched: Watched, store: Store, uri: str, run: str, *, filter: str, shown_store: str, as_json: bool
) -> NoReturn:
    """Print the result of a run that came to a decision.

    Args:
        watched: What its events told.
        store: The run's store.
        uri: The store's URI.
        run: The run's name.
        filter: The filter as a next command names it; empty for its own name.
        shown_store: The store as a next command names it; empty where it finds it by itself.
        as_json: True for one JSON object, False for a text.

    Raises:
        Exit: Always, with the decision's exit code.
    """
    outputs = watched.outputs
    result = result_of(store, uri, run, outputs, watched.records)
    if as_json:
        print_json(result)
    else:
        from distillery.pipelines.results import print_summary

        named = filter or outputs["name"]
        print_summary(result, filter=named, store=shown_store, channel=_channel_option(named, result["channel"]))
    raise typer.Exit(EXIT_CODES[result["verdict"]])


def _channel_option(filter: str, channel: str | None) -> str:
    """Return the option by which a next command means this run's channel; empty where the filter names that one itself."""
    from distillery.filters.errors import InputError
    from distillery.filters.loading import load_filter

    try:
        own = load_filter(filter).spec.promotion.channel
    except InputError:
        own = None
    return f" --channel {channel}" if channel and channel != own else ""


def end_failed(failure: Failure, watched: Watched, uri: str, *, again: str, log: Path | None = None) -> NoReturn:
    """Print why a run came to no decision, and how to go on.

    Args:
        failure: Why it failed.
        watched: What its events told.
        uri: The store's URI.
        again: What goes on with it: "command", "submission".
        log: The log of the process that ran it, named where the fault is ours; None where there is none.

    Raises:
        Exit: Always: with 2 where the input is at fault, 4 where a person is waited for, else with 1.
    """
    from distillery.components.reporting.formatting import goes_on

    code, more = CAUSE_CODES[failure.kind], dict[str, str]()
    print(f"error: {failure.step}: {failure.message}", file=sys.stderr)
    if failure.kind == "fault" and log is not None:
        print(f"log: {log}", file=sys.stderr)
        more["log"] = str(log)
    calibrated = watched.records.get("calibrate")
    if failure.kind == "waiting" and calibrated and (page := calibrated.outputs.get("review")):
        more["review"] = shown_path(f"{uri}/{page}")
        print(f"articles to mark: {more['review']}", file=sys.stderr)
    if report := watched.outputs.get("report"):
        more["report"] = f"{uri}/{report}"
        print(f"report: {more['report']}", file=sys.stderr)
    hint = goes_on(again)
    print(hint, file=sys.stderr)
    print_error(failure.message, where=failure.step, hint=hint, code=code, more=more)
    raise typer.Exit(code)
