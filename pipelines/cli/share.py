"""What leaves a store for other programs and people: predictions and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import ChannelOpt, JsonOpt, StoreOpt, SubjectArg, open_existing, require_filter
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.artifacts.run_summary import RunSummary
    from distillery.components.store import Store
    from distillery.filters.filter import Filter

app = typer.Typer()

Parts = Literal["train", "validation", "test"]
TextOpt = Annotated[bool, typer.Option("--text", help="with title and content of the articles")]
ReplaceOpt = Annotated[bool, typer.Option("--replace", help="replace what is there already")]


def _run(store: str | None, subject: str, channel: str) -> tuple[Store, Filter, RunSummary]:
    from distillery.components.artifacts.adapter import filter_key_of, find_run
    from distillery.components.artifacts.filter import read_filter

    require_filter(subject, channel)
    opened = open_existing(store)
    summary = find_run(opened, subject, channel=channel)
    return opened, read_filter(opened, filter_key_of(summary)), summary


def _print(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(shown)
    else:
        print(shown["out"])


@app.command()
def predictions(
    subject: SubjectArg,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help=".jsonl, .csv or .parquet")],
    text: TextOpt = False,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write what a filter's last run, or an adapter, predicted for its test part, beside the labels."""
    from distillery.components.sharing.records import predictions_table
    from distillery.components.sharing.table_files import form_of, write_file
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    if not form_of(to):
        raise InputError("names no form", where=f"--out {out}", hint="name a file .jsonl, .csv or .parquet")
    opened, flt, summary = _run(store, subject, channel)
    table = predictions_table(opened, flt, summary, text=text)
    write_file(table, to, replace=replace)
    _print({"out": str(to), "filter": flt.name, "adapter": summary.adapter, "run": summary.run, "n": table.num_rows}, as_json)


@app.command()
def data(
    subject: SubjectArg,
    out: Annotated[str, typer.Option("--out", metavar="FILE|FOLDER", help=".jsonl, .csv, .parquet, or a folder for all parts")],
    split: Annotated[Parts | None, typer.Option("--split", help="which part; a folder has all by default")] = None,
    text: TextOpt = False,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write the labelled articles of a run: one part as a file, or all as a folder that Hugging Face's datasets loads."""
    from distillery.components.sharing.data_card import data_card
    from distillery.components.sharing.records import PARTS, data_table
    from distillery.components.sharing.table_files import form_of, write_dataset, write_file
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    folder = not form_of(to)
    if split is None and not folder:
        raise InputError("no part is named", where="--split", hint=f"give one of {', '.join(PARTS)}, or a folder for all")
    opened, flt, summary = _run(store, subject, channel)
    wanted: tuple[Parts, ...] = (split,) if split else PARTS
    tables: dict[str, Any] = {part: data_table(opened, summary, part, text=text) for part in wanted}
    if folder:
        write_dataset(tables, data_card(opened, flt, summary, tables), to, replace=replace)
    else:
        write_file(next(iter(tables.values())), to, replace=replace)
    articles = {part: table.num_rows for part, table in tables.items()}
    shown = {"out": str(to), "filter": flt.name, "run": summary.run, "split": summary.outputs["split"], "articles": articles}
    _print(shown, as_json)
