"""`distillery select-student`: several candidates on one split, compared on validation, one chosen by the user's rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from distillery.pipelines.cli.options import (
    ArticlesOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MappingOpt,
    MarkdownOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    YesOpt,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json
from distillery.pipelines.cli.sheets import deliver, form_of
from distillery.pipelines.cli.spending import agree, priced

if TYPE_CHECKING:
    from distillery.components.choosing.select import Selected

DEFAULT_RULE: Final = "cheapest within 0.02 of the best"
CandidatesOpt = Annotated[
    Path, typer.Option("--candidates", metavar="FILE", help="YAML: a list of candidates, each with a name and what it sets")
]
RuleOpt = Annotated[str, typer.Option("--rule", help='"cheapest within 0.02 of the best" (points of validation MAE), or best')]

app = typer.Typer()


@app.command("select-student")
def select_student(
    filter: FilterArg,
    candidates: CandidatesOpt,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    rule: RuleOpt = DEFAULT_RULE,
    halving: Annotated[
        bool, typer.Option("--halving", help="stop what is behind after a quarter and half of the epochs")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="where to write it, as .html or .md; default: the terminal")
    ] = None,
    store: StoreOpt = None,
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    prices: PricesOpt = "",
    yes: YesOpt = False,
    markdown: MarkdownOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Train several candidates on one split, choose one on validation, and open the test part for it."""
    from distillery.components.choosing.candidates import read_candidates
    from distillery.components.choosing.rule import parse_rule
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.extras import STUDENT, require

    form, wish = form_of(out, markdown=markdown), parse_rule(rule)
    require(STUDENT)
    changed = settings(set, map, mapping, filter=filter, profile=profile)
    request = RunRequest(filter, "", articles, labels, profile, changed, max_rejects).absolute()
    resolved = resolve(priced(request, prices))
    wanted = read_candidates(candidates, resolved.filter)
    from distillery.components.choosing.select import select_student as work
    from distillery.components.choosing.sheet import selection_sheet
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.components.student.devices import require_packing
    from distillery.components.training.trackers.open import require_trackers
    from distillery.pipelines.laptop.chain import run_through
    from distillery.pipelines.steps import RunState

    require_trackers(resolved.filter, in_pod=False)
    for candidate in wanted:
        require_packing(candidate.filter.spec.training)
    opened = open_store(store_uri(store))
    if resolved.articles:
        agree(opened, resolved.articles, [(resolved.filter, None)], budget=None, yes=yes)
    split = run_through("split", RunState(opened, *resolved, max_rejects))["split"].outputs["split"]
    progress = reporter("select-student")
    selected = work(opened, resolved.filter, wanted, split=split, rule=wish, halving=halving, progress=progress)
    if as_json and out is None and not markdown:
        print_json(selection_json(selected))
        return
    deliver(selection_sheet(selected), out, form, as_json=as_json)


def selection_json(selected: Selected) -> dict[str, Any]:
    """Return a selection as one JSON object.

    Args:
        selected: What was chosen, on this machine or on a cluster.

    Returns:
        Its digest, the document, and what was measured.
    """
    measured = {"articles_per_second": selected.rates, "training_seconds": selected.seconds}
    return {"selection": selected.digest, **selected.selection.to_json(), **measured}
