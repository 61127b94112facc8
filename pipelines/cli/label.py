"""`distillery label`: what it will cost, then the labels themselves, stopped and started again at will."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distillery.components.runtime.whole_file import whole_file
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import (
    ArticlesOpt,
    BudgetOpt,
    FilterArg,
    JsonOpt,
    LabelsOpt,
    MapOpt,
    MappingOpt,
    PricesOpt,
    ProfileOpt,
    RejectsOpt,
    SetOpt,
    StoreOpt,
    UncalibratedOpt,
    YesOpt,
    require_dollars,
    settings,
    store_uri,
)
from distillery.pipelines.cli.printing import print_json

if TYPE_CHECKING:
    from distillery.components.artifacts.step_record import StepRecord
    from distillery.components.store import Digest, Store

app = typer.Typer()

FIELDS = ("id", "title", "content", "source", "language", "url", "published")

OutOpt = Annotated[str, typer.Option("--out", metavar="FILE", help="write the labels here as JSON Lines, too")]
ConcurrencyOpt = Annotated[int, typer.Option("--concurrency", metavar="N", min=1, max=10_000, help="calls at once, at most")]
QuoteOpt = Annotated[bool, typer.Option("--quote", help="say what it would cost, and ask nothing")]
RetryOpt = Annotated[bool, typer.Option("--retry-dead", help="ask again for articles in dead letters")]


@app.command()
def label(
    filter: FilterArg,
    articles: ArticlesOpt = "",
    labels: LabelsOpt = "",
    out: OutOpt = "",
    store: StoreOpt = None,
    concurrency: ConcurrencyOpt = 64,
    budget: BudgetOpt = None,
    quote: QuoteOpt = False,
    retry_dead: RetryOpt = False,
    prices: PricesOpt = "",
    yes: YesOpt = False,
    without_calibration: UncalibratedOpt = "",
    profile: ProfileOpt = "",
    set: SetOpt = [],  # noqa: B006 - typer reads the default
    map: MapOpt = [],  # noqa: B006
    mapping: MappingOpt = "",
    max_rejects: RejectsOpt = "0",
    as_json: JsonOpt = False,
) -> None:
    """Label articles with the filter's oracle; what is labelled already is not asked again.

    Stop it at any moment: the same command goes on from there. Exit code 1 where it stopped itself (budget, credit, failures).
    """
    from distillery.components.runtime.extras import LABELS, require

    require(LABELS)
    from distillery.components.labeling.label import label as work
    from distillery.components.labeling.oracles.prices import read_prices
    from distillery.components.preflight.preflight import resolve
    from distillery.components.preflight.request import RunRequest
    from distillery.components.runtime.progress import reporter
    from distillery.components.store import open_store
    from distillery.pipelines.cli.spending import agree, priced

    require_dollars(budget)
    changed = settings(set, map, mapping, filter=filter, profile=profile)
    request = RunRequest(filter, "", articles, labels, profile, changed, max_rejects).absolute()
    flt, articles, labels = resolve(priced(request, prices))
    known = read_prices(prices)
    opened = open_store(store_uri(store), write=not quote)
    if quote:
        if not articles:
            raise InputError("labels that exist cost nothing", where="--quote", hint="give --articles FILE")
        from distillery.components.labeling.quote import quote as price
        from distillery.components.labeling.quote import render_quote

        found = price(opened, flt, articles, known, retry_dead=retry_dead)
        if as_json:
            print_json(found.to_json())
        else:
            print(render_quote(found))
        return
    target = _target(out)
    if articles:
        agree(opened, articles, [(flt, None)], budget=budget, yes=yes, retry_dead=retry_dead)
    record = work(opened, flt, articles=articles, labels=labels, max_rejects=max_rejects, concurrency=concurrency,
                  budget=budget, prices=known, retry_dead=retry_dead, without_calibration=without_calibration,
                  progress=reporter("label"))  # fmt: skip
    digest = record.outputs["label_set"]
    if target:
        _write(target, opened, digest, flt.dimensions)
    summary = _summary(record)
    if as_json:
        print_json(summary)
        return
    print(
        f"{summary['labeled']:,} labelled ({summary['cached']:,} of them before), {summary['dead']:,} in dead letters, "
        f"{summary['rejected']:,} bad rows; {summary['calls']:,} calls, ${summary['usd']:.4f}"
    )
    print(f"label set {digest[:12]}" + (f", written to {out}" if target else ""))


def _summary(record: StepRecord) -> dict[str, Any]:
    """Return the figures of a label run; for a record that was reused, no call and no cost."""
    facts, outputs = record.facts, record.outputs
    ran = (
        {"cached": outputs["rows"], "calls": 0, "usd": 0.0, "reused": True}
        if record.reused
        else {
            key: facts.get(key, 0)
            for key in ("cached", "calls", "usd", "usd_total", "usd_unknown", "limited", "unknown", "tokens", "per_second")
        }
        | {"reused": False}
    )
    return {
        "labeled": outputs["rows"],
        "dead": outputs["dead"],
        "rejected": outputs["rejected"],
        **ran,
        "label_set": outputs["label_set"],
    }


def _target(out: str) -> Path | None:
    """Return the path to write labels to; refuse an unusable one before anything is paid."""
    if not out:
        return None
    path = Path(out).expanduser().absolute()
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise InputError("is no place for a file", where=f"--out {out}", hint="give a file in a folder that exists")
    return path


def _write(path: Path, store: Store, digest: Digest, dimensions: list[str]) -> None:
    """Write the label set as JSON Lines, row by row; the file appears when it is whole."""
    from distillery.components.articles.scratch import scratch_folder
    from distillery.components.store.layout import LABEL_SETS

    with scratch_folder("distillery-labels-") as folder:
        table = store.folder(LABEL_SETS, digest).download(folder, ["labels.parquet"]) / "labels.parquet"
        try:
            with whole_file(path) as file:
                for row in _rows(table, dimensions):
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise InputError(
                f"can't be written: {error.strerror}",
                where=f"--out {path}",
                hint="the labels are in the store; run the same command with another --out",
            ) from error


def _rows(table: Path, dimensions: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(1_000, use_threads=False):
            for row in batch.to_pylist():
                kept = {key: row[key] for key in FIELDS if row[key]}
                kind = {"content_type": row["content_type"]} if row["content_type"] else {}
                yield {**kept, "scores": {name: row[f"score.{name}"] for name in dimensions}, **kind}
