"""`distillery learning-curve`: whether more labels would help, in which dimension, and what they would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distillery.filters.errors import InputError
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
    from distillery.components.artifacts.step_record import StepRecord

app = typer.Typer()


@app.command("learning-curve")
def learning_curve(
    filter: FilterArg,
    labels: LabelsOpt = "",
    articles: ArticlesOpt = "",
    fraction: Annotated[
        list[float], typer.Option("--fraction", metavar="SHARE", help="of the train part; repeatable, the whole is added")
    ] = [0.25, 0.5, 0.75],  # noqa: B006
    times: Annotated[float, typer.Option("--times", metavar="N", help="tell the error for N times the labels")] = 2.0,
    label_usd: Annotated[
        float | None, typer.Option("--label-usd", metavar="USD", min=0, help="price of a label; default: that of these labels")
    ] = None,
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
    """Train on fractions of the labels, and say whether more of them would help, where, and for how much."""
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.extras import STUDENT, require

    form = form_of(out, markdown=markdown)
    require(STUDENT)
    if label_usd is not None and not label_usd < float("inf"):
        raise InputError(f"{label_usd} is no price", where="--label-usd", hint="write --label-usd 0.002")
    changed = settings(set, map, mapping, filter=filter, profile=profile)
    request = RunRequest(filter, "", articles, labels, profile, changed, max_rejects).absolute()
    resolved = resolve(priced(request, prices))
    from distillery.components.choosing.curve_sheet import curve_sheet
    from distillery.components.choosing.learning import learning_curve as work
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.components.student.devices import require_packing
    from distillery.components.training.trackers.open import require_trackers
    from distillery.pipelines.laptop.chain import run_through
    from distillery.pipelines.steps import RunState

    require_trackers(resolved.filter, in_pod=False)
    require_packing(resolved.filter.spec.training)
    opened = open_store(store_uri(store))
    if resolved.articles:
        agree(opened, resolved.articles, [(resolved.filter, None)], budget=None, yes=yes)
    records = run_through("split", RunState(opened, *resolved, max_rejects))
    price = _paid(records["label"]) if label_usd is None else label_usd
    split = records["split"].outputs["split"]
    progress = reporter("learning-curve")
    curve = work(opened, resolved.filter, split=split, fractions=fraction, times=times, label_usd=price, progress=progress)
    if as_json and out is None and not markdown:
        print_json(curve.to_json())
        return
    deliver(curve_sheet(resolved.filter.name, curve), out, form, as_json=as_json)


def _paid(record: StepRecord) -> float | None:
    """Return what a label of this set cost; None where nothing was paid, or nobody knows."""
    usd, labelled = record.facts.get("usd_total"), record.facts.get("labeled")
    if isinstance(usd, int | float) and isinstance(labelled, int) and usd > 0 and labelled > 0:
        return usd / labelled
    return None
