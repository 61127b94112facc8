"""Arguments that several commands share, and what they resolve to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion

if TYPE_CHECKING:
    from distillery.components.store import Store

FILTER_HELP = "a filter's name, name/vN, or path of a filter.yaml"
FilterArg = Annotated[str, typer.Argument(metavar="FILTER", help=FILTER_HELP, autocompletion=completion.filters)]
FiltersArg = Annotated[list[str], typer.Argument(metavar="FILTER...", help=FILTER_HELP, autocompletion=completion.filters)]
SubjectArg = Annotated[
    str,
    typer.Argument(
        metavar="FILTER|ADAPTER",
        help="a filter, or an adapter's digest (8 digits do)",
        autocompletion=completion.filters_and_adapters,
    ),
]
StoreOpt = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URI", help="a folder, file:// or s3://; default: DISTILLERY_STORE, .distillery here or above"
    ),
]
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
MappingOpt = Annotated[
    str, typer.Option("--mapping", metavar="FILE", help="what the labels' columns, dimensions and scales are here, in YAML")
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
MarkdownOpt = Annotated[bool, typer.Option("--md", help="Markdown for a pull request")]
JsonOpt = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output and nothing else there")]

STORE: Final = "DISTILLERY_STORE"
FOLDER: Final = ".distillery"


def store_uri(store: str | None = None) -> str:
    """Return the absolute URI of the store that a command means, since steps may run in another folder.

    Args:
        store: A folder of this machine, or a URI, as typed. None for the one that DISTILLERY_STORE names, else the nearest
            `.distillery` in the present folder or above, else one that is to be made in the present folder.

    Returns:
        A file:// or s3:// URI.

    Raises:
        InputError: It is empty, or no address.
    """
    from distillery.components.articles.input_files import parse_address

    meant = (os.environ.get(STORE) or _nearest() or FOLDER) if store is None else store
    return str(parse_address(meant, parameter="store"))


def _nearest() -> str:
    """Return the path of the nearest store in the present folder or above; empty where there is none.

    Above, a store counts that this user owns, root, or whoever owns the present folder: /tmp is everybody's.
    """
    try:
        here = Path.cwd()
        if (here / FOLDER).is_dir():
            return str(here / FOLDER)
        trusted = {os.geteuid(), 0, here.stat().st_uid}
        for folder in here.parents:
            if os.path.isdir(folder / FOLDER) and (folder / FOLDER).stat().st_uid in trusted:
                return str(folder / FOLDER)
    except OSError:
        pass  # whoever opens the store in the present folder tells what is wrong with it
    return ""


def open_existing(store: str | None, *, write: bool = False) -> Store:
    """Open a store for a command that would find nothing in a new one.

    Args:
        store: As for `store_uri`.
        write: True for a command that changes what is there; one that reads makes no folder and no file.

    Returns:
        The store.

    Raises:
        InputError: There is none.
        StoreError: It can't be written, where it is to be.
    """
    from distillery.components.store import Address, open_store

    uri = store_uri(store)
    if not exists(uri):
        named = "{store}" if store is not None else STORE if os.environ.get(STORE) else ""
        what = f"no store at {Address.parse(uri).path}" + ("" if named else ", nor above")
        hint = f"check {named}" if named else f"{{store}} or {STORE} names one; `distillery distill` makes one"
        raise InputError(what, hint=hint)
    return open_store(uri, write=write)


def exists(uri: str) -> bool:
    """True if there may be a store: what can't be looked at, such as a bucket, is told by whoever reads it.

    Args:
        uri: What `store_uri` returned.

    Returns:
        False where it is a folder that isn't there.
    """
    from distillery.components.store import Address

    address = Address.parse(uri)
    try:
        return address.in_bucket or bool(address.local.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def settings(
    overrides: list[str], columns: list[str], mapping: str = "", *, filter: str = "", profile: str = ""
) -> tuple[str, ...]:
    """Return the settings of a run: those of --set, then those that --mapping and --map stand for.

    Args:
        overrides: Each "path=value".
        columns: Each "column=name".
        mapping: A mapping file; empty for none.
        filter: The filter that it is checked against, as typed.
        profile: A named set of settings.

    Returns:
        Overrides of the filter, each "path=value".

    Raises:
        InputError: A column is named twice, or not at all; or the mapping file is at fault.
    """
    from distillery.filters.columns import map_overrides

    mapped: tuple[str, ...] = ()
    if mapping:
        from distillery.components.preflight.preflight import resolve_filter
        from distillery.filters.mapping import mapping_overrides

        mapped = mapping_overrides(mapping, filter, overrides=overrides, profile=profile, load=resolve_filter)
    return (*overrides, *mapped, *map_overrides(columns))


def require_named_filter(filter: str) -> None:
    """Raise InputError where no filter is named.

    Args:
        filter: as typed.
    """
    if not filter:
        raise InputError("no filter is named", where="FILTER", hint="give a filter's name, or --plan FILE")


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
