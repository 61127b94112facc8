"""Arguments that several commands share, and what they resolve to."""

from __future__ import annotations

from typing import Annotated

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion

_FILTER = "a filter's name, name/vN, or path of a filter.yaml"
FilterArg = Annotated[str, typer.Argument(metavar="FILTER", help=_FILTER, autocompletion=completion.filters)]
FiltersArg = Annotated[list[str], typer.Argument(metavar="FILTER...", help=_FILTER, autocompletion=completion.filters)]
SubjectArg = Annotated[
    str,
    typer.Argument(
        metavar="FILTER|ADAPTER",
        help="a filter, or an adapter's digest (8 digits do)",
        autocompletion=completion.filters_and_adapters,
    ),
]
StoreOpt = Annotated[str, typer.Option("--store", metavar="URI", help="object store: a folder, file:// or s3://")]
ProfileOpt = Annotated[
    str, typer.Option("--profile", help="a named set of overrides: laptop", autocompletion=completion.profiles)
]
SetOpt = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="path=value",
        help="overrides one key of the filter; repeatable",
        autocompletion=completion.settings,
    ),
]
MapOpt = Annotated[
    list[str], typer.Option("--map", metavar="column=name", help="reads a column of the file as title, content, …; repeatable")
]
LabelsOpt = Annotated[str, typer.Option("--labels", metavar="FILE", help="labels: a file or a folder of JSONL, CSV, Parquet …")]
ArticlesOpt = Annotated[str, typer.Option("--articles", metavar="FILE", help="articles for the oracle to label")]
RejectsOpt = Annotated[str, typer.Option("--max-rejects", metavar="N|P%", help="bad rows of labels that may be left out")]
MarksOpt = Annotated[
    str,
    typer.Option(
        "--marks",
        metavar="FILE|FOLDER|reference|prefilter",
        help="articles: what the rubric is calibrated by",
        autocompletion=completion.marks,
    ),
]
UncalibratedOpt = Annotated[
    str, typer.Option("--without-calibration", metavar="REASON", help="label uncalibrated; the reason is recorded")
]
BudgetOpt = Annotated[
    float | None,
    typer.Option("--budget", metavar="USD", min=0, help="what this filter's labels may cost, earlier runs included"),
]
ChannelOpt = Annotated[
    str,
    typer.Option(
        "--channel", metavar="NAME", help="default: the one that the filter names", autocompletion=completion.channels
    ),
]
PricesOpt = Annotated[
    str, typer.Option("--prices", metavar="FILE", help="prices of models, before the filter's oracle.price and list prices")
]
YesOpt = Annotated[bool, typer.Option("--yes", help="do not ask in a terminal before the first paid call")]
JsonOpt = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output and nothing else there")]

DEFAULT_STORE = ".distillery"


def store_uri(store: str) -> str:
    """Return a store's absolute URI, since steps may run in another folder.

    Args:
        store: A folder of this machine, or a URI.

    Returns:
        A file:// or s3:// URI.

    Raises:
        InputError: It is empty, or no address.
    """
    from distillery.components.articles.input_files import parse_address

    return str(parse_address(store, parameter="store"))


def settings(overrides: list[str], columns: list[str]) -> tuple[str, ...]:
    """Return the settings of a run: those of --set, then those that --map stands for.

    Args:
        overrides: Each "path=value".
        columns: Each "column=name".

    Returns:
        Overrides of the filter, each "path=value".

    Raises:
        InputError: A column is named twice, or not at all.
    """
    from distillery.filters.columns import map_overrides

    return (*overrides, *map_overrides(columns))


def require_filter(subject: str, channel: str) -> None:
    """Raise InputError where a channel is named beside an adapter's digest, which needs none.

    Args:
        subject: A filter, or an adapter's digest.
        channel: The channel as typed; empty for none.
    """
    from distillery.components.artifacts.adapter import is_digest

    if channel and is_digest(subject):
        raise InputError("an adapter is named already", where=f"--channel {channel}", hint="leave it out, or give the filter")


def require_dollars(budget: float | None) -> None:
    """Raise unless a budget is an amount of money.

    Args:
        budget: US dollars as typed; None where there is no limit.

    Raises:
        InputError: It is negative, infinite or no number.
    """
    if budget is not None and not 0 <= budget < float("inf"):
        raise InputError(f"{budget} is not an amount of dollars", hint="write {budget} 25.00", parameter="budget")


def in_all(budget: float | None) -> float:
    """Return the pipeline's budget parameter, where 0 is no limit.

    Args:
        budget: US dollars as typed; None where there is no limit.

    Returns:
        US dollars, 0 for no limit.

    Raises:
        InputError: The limit is 0, which would pay for nothing.
    """
    if budget == 0:
        raise InputError("pays for nothing", where="0", hint="leave it out for no limit, or give {labels}", parameter="budget")
    return budget or 0.0
