"""What leaves a store for other programs and places: predictions, data, and adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import (
    ChannelOpt,
    JsonOpt,
    StoreOpt,
    SubjectArg,
    exists,
    open_existing,
    require_filter,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.artifacts.run_summary import RunSummary
    from distillery.components.sharing.bundle_copy import BundleCopy
    from distillery.components.store import Store
    from distillery.filters.filter import Filter

app = typer.Typer()
exports = typer.Typer(no_args_is_help=True, help="Write an adapter for other places; each is read back and scored there.")

Parts = Literal["train", "validation", "test"]
TextOpt = Annotated[bool, typer.Option("--text", help="with title and content of the articles")]
BaseOpt = Annotated[bool, typer.Option("--with-base", help="with the base model, also where the model hub has it")]
FolderOpt = Annotated[str, typer.Option("--out", metavar="FOLDER", help="the folder to write")]
ReplaceOpt = Annotated[bool, typer.Option("--replace", help="replace what is there already")]


def run_meant(store: str | None, subject: str, channel: str) -> tuple[Store, Filter, RunSummary]:
    """Return the run that is meant: a filter's last, that of an adapter, or that of what serves on a channel.

    Args:
        store: as for `open_existing`.
        subject: a filter, or an adapter's digest.
        channel: name of a channel of the filter; empty for the last run.

    Returns:
        The store, opened to read; the run's filter; its summary.
    """
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
    opened, flt, summary = run_meant(store, subject, channel)
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
    opened, flt, summary = run_meant(store, subject, channel)
    wanted: tuple[Parts, ...] = (split,) if split else PARTS
    tables: dict[str, Any] = {part: data_table(opened, summary, part, text=text) for part in wanted}
    if folder:
        write_dataset(tables, data_card(opened, flt, summary, tables), to, replace=replace)
    else:
        write_file(next(iter(tables.values())), to, replace=replace)
    articles = {part: table.num_rows for part, table in tables.items()}
    shown = {"out": str(to), "filter": flt.name, "run": summary.run, "split": summary.outputs["split"], "articles": articles}
    _print(shown, as_json)


def _adapter(store: str | None, subject: str, channel: str, needs: Sequence[str] = ()) -> tuple[Store, BundleCopy]:
    """Return the adapter that is meant: by its digest, or what serves on the filter's channel; `needs` are modules."""
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.runtime.extras import STUDENT, require

    require_filter(subject, channel)
    require(needs or STUDENT)
    from distillery.components.sharing.bundle_copy import copy_bundle

    opened = open_existing(store)
    return opened, copy_bundle(opened, find_adapter(opened, subject, channel=channel, here=True).adapter)


def _print_export(bundle: BundleCopy, difference: float, out: Path, as_json: bool) -> None:
    if as_json:
        facts = {"filter": bundle.filter.name, "adapter": bundle.digest, "difference": difference}
        print_json({**facts, "out": str(out), "files": files_below(out)})
        return
    print(f"{bundle.filter.name} {bundle.digest[:12]}: read back, golden scores within {difference:.2g} points")
    print(out)


@exports.command("oci")
def export_to_image(
    subject: SubjectArg,
    out: FolderOpt,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write an OCI image layout whose one layer is the adapter, for registries and Kubernetes image volumes."""
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    opened, bundle = _adapter(store, subject, channel)
    from distillery.components.sharing.oci import export_image

    _print_export(bundle, export_image(opened, bundle, to, replace=replace), to, as_json)


@exports.command("hub")
def export_to_hub(
    subject: SubjectArg,
    to: Annotated[str, typer.Option("--to", metavar="OWNER/NAME", help="the repository; it is made where there is none")],
    private: Annotated[bool, typer.Option("--private", help="seen by its owner alone, where it is made now")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="make and check the files, and send nothing")] = False,
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="URL", help="the Hub; default: HF_ENDPOINT, else huggingface.co")
    ] = "",
    with_base: BaseOpt = False,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Push the exported folder to the Hugging Face Hub in one commit, read it back, and score from it."""
    opened, bundle = _adapter(store, subject, channel)
    from distillery.components.sharing.hub import export_hub

    pushed = export_hub(
        opened,
        bundle,
        to,
        private=private,
        with_base=with_base,
        replace=replace,
        dry_run=dry_run,
        endpoint=endpoint or None,
    )
    if as_json:
        print_json({"filter": bundle.filter.name, "adapter": bundle.digest, "to": to, **pushed._asdict()})
    elif dry_run:
        print("\n".join(f"{size:>14,}  {name}" for name, size in pushed.files.items()))
        print(f"nothing was sent; golden scores within {pushed.difference:.2g} points")
    else:
        done = f"{'was there' if pushed.reused else 'pushed'}, read back, golden scores within {pushed.difference:.2g} points"
        print(f"{bundle.filter.name} {bundle.digest[:12]}: {done}")
        print(pushed.url)


@app.command("import")
def import_adapter(
    path: Annotated[str, typer.Argument(metavar="FOLDER", help="an exported folder, an OCI layout, or an adapter's folder")],
    filter: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="the filter that it is for; default: the one beside it",
            autocompletion=completion.filters,
        ),
    ] = "",
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Take an adapter from another store, verified and scored; it is judged here before it is promoted here."""
    from distillery.components.runtime.extras import STUDENT, require
    from distillery.components.store import open_store

    require(STUDENT)
    from distillery.components.sharing.bundle_reader import open_found, put_bundle, read_bundle_folder
    from distillery.components.sharing.oci import LAYOUT, read_image

    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError("is no folder", where=path[:200] or "''", hint="give a folder that `distillery export` wrote")
    found = read_image(folder) if (folder / LAYOUT).exists() else read_bundle_folder(folder)
    uri = store_uri(store)
    flt = open_found(open_store(uri, write=False) if exists(uri) else None, found, filter)
    opened = open_store(uri)
    there = put_bundle(opened, found, flt)
    if as_json:
        print_json({"filter": flt.name, "adapter": found.digest, "store": opened.uri, "reused": there})
        return
    print(f"{flt.name} {found.digest[:12]}: {'was there' if there else 'imported'}, gives its golden scores")
    print(f"score     distillery score {found.digest[:12]} ARTICLES.jsonl --out scores")


def files_below(folder: Path) -> list[str]:
    """Return the names of all files below a folder.

    Args:
        folder: the folder.

    Returns:
        Paths below it, sorted.
    """
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@exports.command("folder")
def export_to_folder(
    subject: SubjectArg,
    out: FolderOpt,
    with_base: BaseOpt = False,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write a folder that plain peft and transformers load, with a card made from the verdict."""
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    opened, bundle = _adapter(store, subject, channel)
    from distillery.components.sharing.folder import export_folder

    difference = export_folder(opened, bundle, to, with_base=with_base, replace=replace)
    _print_export(bundle, difference, to, as_json)


@exports.command("onnx")
def export_to_onnx(
    subject: SubjectArg,
    out: FolderOpt,
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write one ONNX file from tokens to final scores, with its tokenizer, a card, and how near it is to the adapter."""
    from distillery.components.runtime.extras import ONNX
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    opened, bundle = _adapter(store, subject, channel, ONNX)
    from distillery.components.sharing.onnx_file import export_onnx

    _print_export(bundle, export_onnx(opened, bundle, to, replace=replace), to, as_json)


@exports.command("kserve")
def export_to_kserve(
    subject: SubjectArg,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="the YAML file to write")],
    image: Annotated[
        str,
        typer.Option("--image", metavar="IMAGE", envvar="DISTILLERY_IMAGE_SERVE", help="the server's image, as nodes pull it"),
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="of both objects")] = "distillery",
    keys: Annotated[
        str, typer.Option("--api-key-secret", metavar="NAME", help="a Secret of whose `keys` each request has one, one a line")
    ] = "",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    replace: ReplaceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Write a ServingRuntime and an InferenceService: a filter's channel is followed, an adapter named by its digest stays."""
    from distillery.components.artifacts.adapter import is_digest
    from distillery.components.runtime.images import SERVE
    from distillery.components.sharing.targets import local_path

    to = local_path(out)
    opened, bundle = _adapter(store, subject, channel)
    from distillery.components.sharing.kserve import Place, export_kserve

    follows = "" if is_digest(subject) else channel or bundle.filter.spec.promotion.channel
    place = Place(namespace, image or SERVE, opened.uri if opened.uri.startswith("s3://") else "", keys)
    difference = export_kserve(opened, bundle, to, place, channel=follows, replace=replace)
    if as_json:
        facts = {"filter": bundle.filter.name, "adapter": bundle.digest, "difference": difference}
        print_json({**facts, "out": str(to), "image": place.image, "channel": follows or None})
        return
    print(f"{bundle.filter.name} {bundle.digest[:12]}: read back, golden scores within {difference:.2g} points")
    print(f"deploy    kubectl apply --filename {to}")
