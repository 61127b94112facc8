"""`distillery score`: a corpus through an adapter, on this machine or over a cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from distillery.components.preflight.request import absolute
from distillery.components.runtime.exit_codes import ExitCode
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import (
    ChannelOpt,
    JsonOpt,
    MapOpt,
    StoreOpt,
    SubjectArg,
    open_existing,
    require_filter,
    store_uri,
)
from distillery.pipelines.cli.printing import print_error, print_json

if TYPE_CHECKING:
    from distillery.components.artifacts.adapter import Subject
    from distillery.components.scoring.job_manifest import Place
    from distillery.components.store import Store

app = typer.Typer()

Format = Literal["parquet", "jsonl"]


@app.command()
def score(
    subject: SubjectArg,
    articles: Annotated[
        str, typer.Argument(metavar="ARTICLES", help="a file, a folder, or s3:// of either: JSONL, CSV, Parquet …")
    ],
    out: Annotated[
        str, typer.Option("--out", metavar="DIR|URI", help="where the scores go; default: scores/ in the store")
    ] = "",
    on: Annotated[
        Literal["here", "cluster"], typer.Option("--on", help="this machine, or an Indexed Job over a cluster")
    ] = "here",
    shards: Annotated[int, typer.Option("--shards", metavar="N", min=0, help="parts; 0 chooses by the corpus's size")] = 0,
    parallelism: Annotated[
        int, typer.Option("--parallelism", metavar="N", min=0, help="pods at once; 0: as many as parts, 1,000 at most")
    ] = 0,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="delete the cluster's Job, with --out any that scores there; finished parts stay")
    ] = False,
    namespace: Annotated[str, typer.Option("--namespace", help="of the pods; default: the cluster's own setting")] = "",
    new_only: Annotated[
        bool, typer.Option("--new-only", help="score the files that no pass into --out has scored, by their content")
    ] = False,
    on_promotion: Annotated[
        Literal["rescore", "new-only"],
        typer.Option("--on-promotion", help="--new-only with another adapter: all files again, or only what comes"),
    ] = "rescore",
    channel: ChannelOpt = "",
    store: StoreOpt = None,
    format: Annotated[Format, typer.Option("--format")] = "parquet",
    map: MapOpt = [],  # noqa: B006
    as_json: JsonOpt = False,
) -> None:
    """Score a corpus with a promoted adapter: prefilter, student, tiers. The same command goes on with what is left."""
    require_filter(subject, channel)
    if on == "here" and (cancel or namespace or parallelism):
        option = "--cancel" if cancel else "--namespace" if namespace else "--parallelism"
        raise InputError("is for a cluster", where=option, hint="add --on cluster")
    if new_only and (not out or shards or cancel):
        option, hint = ("--shards", "parts follow the files") if shards else ("--cancel", "give --out of the pass instead")
        raise InputError("is needed" if not out else "is not for new files", where="--out" if not out else option, hint=hint)
    if on == "cluster" and format != "parquet":
        raise InputError("must be parquet on a cluster", where="--format")
    if new_only:
        from distillery.pipelines.cli.new_files import new_files_here, new_files_on_cluster, print_passes

        if on == "cluster":
            found = new_files_on_cluster(subject, channel, articles, out, parallelism, namespace, store, map, on_promotion)
        else:
            found = new_files_here(subject, channel, articles, out, store, format, map, on_promotion)
        if as_json:
            print_json(found)
        else:
            print_passes(found)
        return
    if on == "cluster":
        found = _on_cluster(subject, channel, articles, out, shards, parallelism, namespace, store, map, cancel=cancel)
    else:
        found = _here(subject, channel, articles, out, shards, store, format, map)
    if as_json:
        print_json({name: found[name] for name in found if name not in ("files", "code", "filter_key", "format")})
        return
    if "cancelled" in found:
        print(f"deleted {', '.join(found['cancelled'])}; finished parts stay")
    else:
        print_scores(found)


def _here(
    subject: str,
    channel: str,
    articles: str,
    out: str,
    shards: int,
    store: str | None,
    format: Literal["parquet", "jsonl"],
    map: list[str],
) -> dict[str, Any]:
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.artifacts.filter import is_published, publish_filter
    from distillery.components.runtime.extras import STUDENT, require

    require(STUDENT)
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.score import score as work
    from distillery.components.student.devices import serving_plan
    from distillery.pipelines.caps import tell_caps

    opened = open_existing(store, write=not out)
    flt, adapter = find_adapter(opened, subject, channel=channel, here=True).renamed(map)
    if not (out and is_published(opened, flt)):  # scores that go elsewhere are made from a store that can only be read
        publish_filter(opened, flt)  # _SUCCESS names it by digest

    progress = reporter("score")
    tell_caps(opened, flt, adapter, progress)
    served = serving_plan(opened, flt.name, adapter, flt.spec.student, progress)

    def student() -> Any:
        from distillery.components.student.bundle import open_bundle

        return open_bundle(opened, flt.name, adapter, flt=flt, plan=served)

    return work(
        flt,
        student,
        absolute(articles),
        store_uri(out) if out else opened,
        adapter=adapter,
        fmt=format,
        shards=shards,
        served=served,
        progress=progress,
    )


def _on_cluster(
    subject: str,
    channel: str,
    articles: str,
    out: str,
    shards: int,
    parallelism: int,
    namespace: str,
    store: str | None,
    map: list[str],
    *,
    cancel: bool,
) -> dict[str, Any]:
    import time

    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.completion import notes
    from distillery.components.scoring.job import follow, plan_on_cluster, submit
    from distillery.components.scoring.job_manifest import find_place
    from distillery.components.store import in_bucket, open_store
    from distillery.pipelines.caps import tell_caps

    began, place = time.monotonic(), find_place(namespace)
    uri = store_uri(place.store or None if store is None else store)
    for where, address in (("--store", uri), ("--out", out)):
        if address and not in_bucket(address):
            raise InputError("is no place that a cluster reaches", where=f"{where} {address}", hint="give s3://bucket/prefix")
    opened, progress = open_store(uri), reporter("score")
    found = find_adapter(opened, subject, channel=channel, here=True).renamed(map)
    if cancel:
        return {"cancelled": _cancel(opened, found, articles, out, shards, place)}
    plan = plan_on_cluster(opened, *found, absolute(articles), place, shards=shards)
    tell_caps(opened, *found, progress)
    job = submit(opened, plan, place, out=out, parallelism=parallelism, progress=progress)
    how = "adopted" if job.adopted else "started"
    what = f"{how} Job {place.namespace}/{job.name}" if job.name else "nothing to do"
    progress.note(f"{len(job.left):,} of {plan.shards:,} parts to score: {what}")
    try:
        done = follow(job, progress)
    except KeyboardInterrupt:
        same = "while filter, adapter, corpus and image stay as they are, the same command follows it"
        hint = f"{same}; with --cancel --out {job.out.uri} it is deleted"
        print(f"\nthe Job goes on: {job.kubectl}; {hint}", file=sys.stderr)
        print_error("the Job goes on", where=job.kubectl, hint=hint, code=ExitCode.INTERRUPTED)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    for note in notes(done):
        progress.note(note)
    seconds = round(time.monotonic() - began, 3)
    parts = [part.name for part in done.parts]
    return {
        **done.to_json(),
        "parts": parts,
        "out": job.out.uri,
        "job_name": job.name,
        "reused": not job.left,
        "seconds": seconds,
    }


def _cancel(store: Store, subject: Subject, articles: str, out: str, shards: int, place: Place) -> list[str]:
    """Delete the Job of these inputs, or with `out` all that score into there; return their names, or refuse where none is."""
    from distillery.components.scoring.job import cancel, default_out, plan_on_cluster, scores_of, unfinished
    from distillery.components.store import open_store

    if out:
        names, none = cancel(place, open_store(out, write=False).uri), f"no unfinished Job scores into {out}"
    else:
        plan = plan_on_cluster(store, *subject, absolute(articles), place, shards=shards, upload=False)
        names, none = cancel(place, default_out(store, plan), plan), "no unfinished Job has these inputs"
    if names:
        return list(names)
    others = unfinished(place, subject.filter.name)
    for job in others:
        print(f"unfinished: Job {job.metadata.name}, into {scores_of(job)}")
    hint = "add --out and the address of the one you mean" if others else "nothing is left to cancel"
    raise InputError(none, where="--cancel", hint=hint)


def print_scores(found: Mapping[str, Any]) -> None:
    """Print what was scored, and where the scores are.

    Args:
        found: Counts by name, tiers, and where they are.
    """
    from distillery.components.runtime.progress import clock

    tiers = ", ".join(f"{name} {n:,}" for name, n in found["tiers"].items())
    took = "were scored before" if found["reused"] else f"scored in {clock(found['seconds'])}"
    print(f"{found['scored']:,} articles {took}: {tiers}")
    print(f"{found['prefiltered']:,} refused by the prefilter, {found['rejected']:,} bad rows\nscores: {found['out']}")
