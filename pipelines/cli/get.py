"""`distillery get` and `describe`: what is there in a store. Both only read it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import JsonOpt, StoreOpt, open_existing
from distillery.pipelines.cli.printing import print_json, short
from distillery.pipelines.cli.publish import EndpointOpt
from distillery.pipelines.results import number

if TYPE_CHECKING:
    from distillery.components.store import Store
    from distillery.pipelines.inventory.reading import Row

app = typer.Typer()

Form = Literal["table", "wide", "json"]
FormOpt = Annotated[Form, typer.Option("--output", "-o", help="a table, one with more columns, or one JSON object")]
KindArg = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        autocompletion=lambda: [*COLUMNS],
        help="filters, runs, adapters, channels, calibrations, samples, jobs; get: schedules, too",
    ),
]

NONE = "–"
WIDE_ONLY = 60  # characters of a reason in a table that is not wide


@app.command()
def get(
    kind: KindArg,
    filter: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="only what is of this filter", autocompletion=completion.filters)
    ] = "",
    output: FormOpt = "table",
    store: StoreOpt = None,
    endpoint: EndpointOpt = "",
    namespace: Annotated[str, typer.Option("--namespace", help="schedules: yours, on a Kubeflow of several users")] = "",
    as_json: JsonOpt = False,
) -> None:
    """List what is there: filters, runs, adapters, channels, calibrations, samples, scoring jobs, or Kubeflow's schedules."""
    if kind in ("schedules", "schedule"):
        _print_rows("schedules", _schedules(endpoint, namespace, _name_of(filter)), endpoint, filter, output, as_json)
        return
    from distillery.pipelines.inventory.kinds import kind_of, list_things

    wanted = kind_of(kind)
    opened = open_existing(store)
    rows = list_things(opened, wanted, _name_of(filter))
    if wanted == "adapters" and (output != "table" or as_json):
        rows = _with_garbage(opened, rows)
    _print_rows(wanted, rows, opened.uri, filter, output, as_json)


def _with_garbage(store: Store, rows: list[Row]) -> list[Row]:
    """Return adapters with whether `gc` would remove them; None where that can't be told."""
    from distillery.components.collecting.garbage import DAYS, find_garbage
    from distillery.filters.errors import InputError

    try:
        garbage = {each.name for each in find_garbage(store, now=time.time(), days=DAYS)}
    except InputError:
        return [{**row, "garbage": None} for row in rows]
    return [{**row, "garbage": row["name"] in garbage} for row in rows]


def _schedules(endpoint: str, namespace: str, filter: str) -> list[Row]:
    """Return the schedules that Kubeflow has for our pipelines, or for one filter."""
    from distillery.pipelines.cli.schedule import row_of
    from distillery.pipelines.cluster.kubeflow import Kubeflow
    from distillery.pipelines.cluster.schedules import schedules

    rows = [row_of(one) for one in schedules(Kubeflow(endpoint, namespace))]
    return [row for row in rows if row["pipeline"] == "distill" and filter in ("", row["filter"])]


def _print_rows(kind: str, rows: list[Row], where: str, filter: str, output: Form, as_json: bool) -> None:
    if as_json or output == "json":
        print_json({"kind": kind, "store": where, "items": rows})
    elif rows:
        print(table(kind, rows, wide=output == "wide"))
    else:
        of = f" of {filter}" if filter else ""
        print(f"no {kind}{of} in {where}", file=sys.stderr)


@app.command()
def describe(
    kind: KindArg,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="as `get` shows it; its beginning does where that is unique", autocompletion=completion.things
        ),
    ],
    output: FormOpt = "table",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Show all that is known of one thing that `get` lists."""
    from distillery.pipelines.inventory.kinds import describe_thing, kind_of

    wanted = kind_of(kind)
    opened = open_existing(store)
    found = describe_thing(opened, wanted, name)
    if as_json or output == "json":
        print_json({"kind": wanted, "store": opened.uri, **found})
    else:
        print("\n".join(lines(found)))


def _name_of(filter: str) -> str:
    """Return the name of a filter: that of its file where there is one, for a path or name/vN; else the name as given."""
    from distillery.filters.errors import InputError
    from distillery.filters.loading import load_filter

    if not filter or filter.replace("-", "").isalnum():
        return filter
    try:
        return load_filter(filter).name
    except InputError:
        if "." not in filter and filter.count("/") == 1:  # name/vN of a filter that is not here
            return filter.partition("/")[0]
        raise


def age(moment: str | None, now: float | None = None) -> str:
    """Return how long ago a time is, as `kubectl` shows it.

    Args:
        moment: UTC, as 2025-01-31T23:59:59Z; None where it is not known.
        now: seconds since 1970; None for this moment.

    Returns:
        A number and one letter: 5s, 12m, 7h, 3d; a dash where it is not known.
    """
    if moment is None:
        return NONE
    then = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    seconds = max(0, int((time.time() if now is None else now) - then))
    for letter, unit, upto in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if seconds < upto:
            return f"{seconds // unit}{letter}"
    return f"{seconds // 86400}d"


def size(count: int | None) -> str:
    """Return bytes as people say them.

    Args:
        count: bytes; None where they are not known.

    Returns:
        The text, as 4.7 MB; a dash where they are not known.
    """
    if count is None:
        return NONE
    for unit, power in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= power:
            return f"{count / power:.1f} {unit}"
    return f"{count} B"


def _money(usd: float | None) -> str:
    return NONE if usd is None else f"${usd:,.2f}"


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _many(values: Sequence[object]) -> str:
    return ",".join(short(value) for value in values) or NONE


Column = tuple[str, Callable[["Row"], str]]


def _plain(name: str) -> Callable[[Row], str]:
    return lambda row: short(row[name]) if row[name] not in (None, "") else NONE


NAME: Final[Column] = ("NAME", lambda row: short(row["name"]))
FILTER: Final[Column] = ("FILTER", _plain("filter"))
ADAPTER: Final[Column] = ("ADAPTER", _plain("adapter"))
MAE: Final[Column] = ("MAE", lambda row: number(row["mae"]))
COST: Final[Column] = ("COST", lambda row: _money(row["usd"]))
SIZE: Final[Column] = ("SIZE", lambda row: size(row["size"]))
AGE: Final[Column] = ("AGE", lambda row: age(row["modified"]))

# Columns of a table, then those that a wide one has besides.
COLUMNS: Final[dict[str, tuple[tuple[Column, ...], tuple[Column, ...]]]] = {
    "filters": (
        (
            NAME,
            ("VERSION", lambda row: f"v{row['versions'][-1]}" if row["versions"] else NONE),
            ("PROMOTED", lambda row: _many([f"{channel}:{adapter[:12]}" for channel, adapter in row["promoted"].items()])),
            ("CANDIDATES", lambda row: _many(row["candidates"])),
            ("PINNED", lambda row: _many(row["pinned"])),
            ("LAST RUN", _plain("last")),
            COST,
            AGE,
        ),
        (("RUN", _plain("last_run")),),
    ),
    "runs": (
        (NAME, FILTER, ("OUTCOME", _plain("outcome")), ADAPTER, MAE, COST, AGE),
        (("TOOK", lambda row: f"{row['seconds']:,} s"), ("ON", _plain("on")), ("CHANNEL", _plain("channel"))),
    ),
    "adapters": (
        (
            NAME,
            FILTER,
            ("STATE", _plain("state")),
            ("SERVES", lambda row: _many(row["channels"])),
            MAE,
            SIZE,
            COST,
            AGE,
        ),
        (
            ("VERSION", lambda row: f"v{row['version']}" if row["version"] else NONE),
            ("RUN", _plain("run")),
            ("SPLIT", _plain("split")),
            ("GC", lambda row: NONE if row.get("garbage") is None else "would go" if row["garbage"] else "stays"),
        ),
    ),
    "channels": (
        (
            FILTER,
            ("CHANNEL", _plain("channel")),
            ADAPTER,
            ("VERSION", lambda row: f"v{row['version']}" if row["version"] else NONE),
            MAE,
            ("PINNED", lambda row: f"by {row['pin']['by'] or '?'}" if row["pin"] else NONE),
            ("CANDIDATES", lambda row: _many(row["candidates"])),
            AGE,
        ),
        (("BLOCKED", lambda row: _many(row["blocked"])), ("BY", _plain("by"))),
    ),
    "calibrations": (
        (
            NAME,
            FILTER,
            ("MODEL", _plain("model")),
            ("VERDICT", lambda row: f"{row['verdict'] or NONE}{' accepted' if row['accepted'] else ''}"),
            ("ARTICLES", lambda row: _count(row["articles"])),
            ("MARKED", lambda row: _count(row["marked"])),
            COST,
            AGE,
        ),
        (("BY", _plain("by")),),
    ),
    "samples": (
        (NAME, FILTER, ("ARTICLES", lambda row: _count(row["articles"])), ("OF", lambda row: _count(row["corpus"])), SIZE, AGE),
        (("ENRICHED BY", _plain("enriched_by")), ("SEED", _plain("seed"))),
    ),
    "schedules": ((NAME, FILTER, ("CRON", _plain("cron")), ("STATE", _plain("state")), AGE), ()),
    "jobs": (
        (
            NAME,
            FILTER,
            ADAPTER,
            ("STATE", _plain("state")),
            ("PARTS", lambda row: f"{row['parts_done']:,}/{_count(row['parts'])}"),
            ("ARTICLES", lambda row: _count(row["articles"])),
            SIZE,
            AGE,
        ),
        (
            ("TIERS", lambda row: ",".join(f"{tier}:{n:,}" for tier, n in (row["tiers"] or {}).items()) or NONE),
            ("OUT", _plain("out")),
        ),
    ),
}


def table(kind: str, rows: Sequence[Row], *, wide: bool = False) -> str:
    """Return rows as a table in plain text.

    What can't be read says so in the last column, and so do gates that failed and what people gave as a reason.

    Args:
        kind: what the rows are.
        rows: one or more of them.
        wide: True for all columns, and reasons in full.

    Returns:
        Lines of text, the heads of the columns first.
    """
    normal, more = COLUMNS[kind]
    columns = [*normal, *(more if wide else ())]
    notes = [_note(row, wide=wide) for row in rows]
    heads = [head for head, _ in columns]
    cells = [[shown(row) for _, shown in columns] for row in rows]
    if any(notes):
        heads = [*heads, "NOTE"]
        cells = [[*line, note] for line, note in zip(cells, notes, strict=True)]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in (heads, *cells)
    )


def _note(row: Row, *, wide: bool) -> str:
    """Return what stands beside a row: why it can't be read, else its reason, on one line."""
    from distillery.filters.errors import one_line

    error = row["error"]
    note = one_line(f"unreadable: {error['what']}" if error else str(row.get("reason") or ""))
    if error and wide:
        note = one_line(f"{note} ({error['where']})")
    return note if wide or len(note) <= WIDE_ONLY else f"{note[: WIDE_ONLY - 1]}…"


def lines(value: Any, indent: int = 0) -> list[str]:
    """Return a JSON value as indented lines, a field each.

    Args:
        value: an object, or a list of objects.
        indent: spaces before each line.

    Returns:
        Lines of text; fields that say nothing are left out.
    """
    shown: list[str] = []
    for name, held in value.items():
        if held in (None, "", [], {}):
            continue
        head = f"{' ' * indent}{name}:"
        if isinstance(held, dict):
            shown += [head, *lines(held, indent + 2)]
        elif isinstance(held, list) and any(isinstance(each, dict) for each in held):
            shown.append(head)
            for each in held:
                told = lines(each, indent + 4) if isinstance(each, dict) else []
                first, *rest = told or [f"{' ' * (indent + 4)}{each}"]
                shown += [f"{' ' * (indent + 2)}- {first[indent + 4 :]}", *rest]
        elif isinstance(held, list):
            shown.append(f"{head} {', '.join(map(str, held))}")
        else:
            shown.append(f"{head} {held}")
    return shown
