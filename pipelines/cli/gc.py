"""`distillery gc`: what a store holds that nothing needs; printed, or removed where that is asked for."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import JsonOpt, StoreOpt, open_existing
from distillery.pipelines.cli.printing import print_json, short

app = typer.Typer()


@app.command()
def gc(
    delete: Annotated[bool, typer.Option("--delete/--dry-run", help="remove it; by default it is only printed")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="DAYS", min=1, help="what was written since is left alone")
    ] = 30,
    keep: Annotated[list[str], typer.Option("--keep", metavar="ADAPTER", help="leave this adapter alone; repeatable")] = [],  # noqa: B006
    store: StoreOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Print what no channel, run, candidate or pin needs, with its size; --delete removes it."""
    from distillery.components.artifacts.adapter import is_digest
    from distillery.components.collecting.garbage import find_garbage, remove
    from distillery.pipelines.cli.get import age, size

    if wrong := next((name for name in keep if not is_digest(name)), None):
        raise InputError(
            "is no adapter's digest", where=f"--keep {wrong[:80]}", hint="give 8 digits or more; see `get adapters`"
        )
    opened, now = open_existing(store, write=delete), time.time()
    found = find_garbage(opened, now=now, days=older_than, keep=keep)
    removed = list(remove(opened, found, now=now, days=older_than, keep=keep)) if delete else []
    shown = removed if delete else found
    total = sum(each.size for each in shown)
    if as_json:
        items = [{"kind": each.kind, "name": each.name, "filter": each.filter, "size": each.size} for each in shown]
        print_json({"store": opened.uri, "deleted": delete, "bytes": total, "items": items})
        return
    for each in shown:
        since = age(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.modified)), now)
        name = " ".join(part for part in (each.filter, "/".join(map(short, each.name.split("/")))) if part)
        print(f"{each.kind:<11}{size(each.size):>10}  {since:>6}  {name}")
    done = "removed" if delete else "could be removed: distillery gc --delete"
    print(f"{len(shown)} things, {size(total)} {done}" if shown else f"nothing to remove in {opened.uri}")
