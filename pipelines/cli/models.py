"""`distillery models push | list`: base models in the store, so that a cluster needs no model hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from distillery.components.preflight.request import absolute
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import JsonOpt, open_existing, store_uri
from distillery.pipelines.cli.printing import print_json

app = typer.Typer(
    help="Keep base models in a store, for clusters without a model hub.", no_args_is_help=True, rich_markup_mode=None
)

ModelsOpt = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URI", help="s3://bucket/prefix or a folder; default: DISTILLERY_MODELS, else as for other commands"
    ),
]


def _meant(store: str | None) -> str | None:
    """Return the store of the models as `store_uri` takes it."""
    return (os.environ.get("DISTILLERY_MODELS") or None) if store is None else store


@app.command("push")
def push_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a hub id, a folder, or package://MODULE")],
    revision: Annotated[str, typer.Option("--revision", help="the hub's revision, and the mirror's; default: main")] = "",
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="the name filters use; needed for a folder")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="let the name mean other bytes from now on")] = False,
    store: ModelsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Mirror a base model. Doing it again sends nothing; steps find it under the name that the filter says."""
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.components.student.mirror import mirror_name, push
    from distillery.components.student.resolve import resolve_base

    local = Path(model).expanduser().is_dir()
    base = resolve_base(absolute(model) if local else model, revision or None, mirrors=False)
    target = name or (None if local else mirror_name(model))
    if not target:
        raise InputError(f"{model} has no name that a filter could use elsewhere", where="--as", hint="give --as ORG/NAME")
    opened = open_store(store_uri(_meant(store)))
    here, wrote = push(opened, base, target, revision or None, replace=replace, progress=reporter("push"))
    if as_json:
        print_json({"name": here.name, "revision": here.revision, "base": here.base, "size": here.size, "written": wrote})
        return
    print(
        f"{here.name}@{here.revision}: {here.size / 1e6:,.1f} MB, base {here.base[:12]}, {'pushed' if wrote else 'was there'}"
    )
    print(f"{opened.uri}/{here.prefix}")


@app.command("list")
def list_command(store: ModelsOpt = None, as_json: JsonOpt = False) -> None:
    """List the base models in a store."""
    from distillery.components.student.mirror import mirrored

    opened = open_existing(_meant(store))
    found = list(mirrored(opened))
    if as_json:
        rows = [{"name": m.name, "revision": m.revision, "base": m.base, "kind": m.kind, "size": m.size} for m in found]
        print_json({"models": rows})
        return
    for one in found:
        print(f"{one.name}@{one.revision}  {one.kind}  {one.size / 1e6:,.1f} MB  base {one.base[:12]}")
    if not found:
        print(f"no base models in {opened.uri}; `distillery models push MODEL` mirrors one")
