"""`distillery compare`: adapters side by side, on the test articles that they have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.filters.errors import InputError
from distillery.pipelines.cli import completion
from distillery.pipelines.cli.options import JsonOpt, MarkdownOpt, StoreOpt, open_existing
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.sheets import deliver, form_of

if TYPE_CHECKING:
    from distillery.components.comparing.document import Comparison
    from distillery.components.comparing.promoted import Promotions

app = typer.Typer()
OutOpt = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="where to write it, as .html or .md; default: the terminal")
]


@app.command()
def compare(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ADAPTER|RUN|FILTER|FILTER/vN...",
            help="two or more; the first is what the others are held against",
            autocompletion=completion.filters_and_adapters,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="one table of what serves on every channel, of any filter")] = False,
    out: OutOpt = None,
    text: Annotated[bool, typer.Option("--text", help="titles of the articles that moved")] = False,
    store: StoreOpt = None,
    markdown: MarkdownOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Compare adapters: settings, data, figures with paired intervals, tiers that flip, articles that moved."""
    from distillery.components.runtime.extras import LABELS, require

    form = form_of(out, markdown=markdown)
    require(LABELS)
    named = subjects or []
    if everything and named:
        raise InputError("compares all that is promoted", where="--all", hint="leave it out, or name nothing")
    opened = open_existing(store)
    document: Comparison | Promotions
    if everything:
        from distillery.components.comparing.promoted import Promotions, promoted_sheet
        from distillery.pipelines.inventory.compared import promoted_adapters

        document = Promotions(items=promoted_adapters(opened))
        sheet = promoted_sheet(document.items)
    else:
        from distillery.components.comparing.compare import compare as work
        from distillery.components.comparing.sheet import comparison_sheet
        from distillery.pipelines.inventory.compared import find_side

        document = work([find_side(opened, subject) for subject in named], text=text)
        sheet = comparison_sheet(document)
    if out is None and as_json and not markdown:
        print_json(document.to_json())
    else:
        deliver(sheet, out, form, as_json=as_json)
