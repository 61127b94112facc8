"""`distillery score`: a corpus through an adapter, on this machine or over a cluster."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
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
    from distillery.components.artifacts.serving import Plan
    from distillery.components.scoring.job_manifest import Place
    from distillery.components.scoring.rows import Predictor
    from distillery.components.store import Store
    from distillery.components.student.token_cache import TokenCache
    from distillery.filters.filter import Filter

app = typer.Typer()

Format = Literal["parquet", "jsonl"]


@app.command()
def score(
    subject: SubjectArg,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTICLES", help="a file, a folder, or s3:// of either: JSONL, CSV, Parquet …"),
    ] = None,
    articles: Annotated[
        str, typer.Option("--articles", metavar="ARTICLES", help="the same as an option: then several filters may be named")
    ] = "",
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
    subjects, articles = _named(subject, more or [], articles)
    for each in subjects:
        require_filter(each, channel)
    if len(subjects) > 1 and (on == "cluster" or new_only):
        where = "--on cluster" if on == "cluster" else "--new-only"
        raise InputError("takes one filter at a time", where=where, hint="type it for each")
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
        all_found = _here(subjects, channel, articles, out, shards, store, format, map)
        if len(subjects) > 1:
            if as_json:
                print_json({"scores": [_shown(each) for each in all_found]})
                return
            for each_found in all_found:
                print(f"{each_found['filter']}:")
                print_scores(each_found)
            return
        found = all_found[0]
    if as_json:
        print_json(_shown(found))
        return
    if "cancelled" in found:
        print(f"deleted {', '.join(found['cancelled'])}; finished parts stay")
    else:
        print_scores(found)


def _named(subject: str, more: list[str], articles: str) -> tuple[list[str], str]:
    """Return the filters and the corpus that were typed."""
    if articles:
        return [subject, *more], articles
    if not more:
        raise InputError("no articles are named", where="ARTICLES", hint="give a file, a folder, or s3:// of either")
    if len(more) > 1:
        hint = "several filters: distillery score A B --articles FILE"
        raise InputError(f"{len(more) + 1} words are one too many", where=f"ARTICLES {more[-1]}", hint=hint)
    return [subject], more[0]


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in found if name not in ("files", "code", "filter_key", "format")}


def _here(
    subjects: list[str],
    channel: str,
    articles: str,
    out: str,
    shards: int,
    store: str | None,
    format: Literal["parquet", "jsonl"],
    map: list[str],
) -> list[dict[str, Any]]:
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.artifacts.filter import is_published, publish_filter
    from distillery.components.runtime.extras import STUDENT, require

    require(STUDENT)
    from distillery.components.runtime.caps import tell_caps
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.score import Wanted, score_several
    from distillery.components.student.devices import serving_plan

    opened, progress, wanted = open_existing(store, write=not out), reporter("score"), list[Wanted]()
    found = [find_adapter(opened, subject, channel=channel, here=True).renamed(map) for subject in subjects]
    if twice := [flt.name for place, (flt, _) in enumerate(found) if flt.name in [each.name for each, _ in found[:place]]]:
        raise InputError("is named twice", where=twice[0], hint="each filter has a folder of its own: score it apart")
    students = _Students(opened, several=len(found) > 1)
    for flt, adapter in found:
        if not (out and is_published(opened, flt)):  # scores that go elsewhere are made from a store that can only be read
            publish_filter(opened, flt)  # _SUCCESS names it by digest
        tell_caps(opened, flt, adapter, progress)
        served = serving_plan(opened, flt.name, adapter, flt.spec.student, progress)
        place = store_uri(out) + (f"/{flt.name}" if len(found) > 1 else "") if out else opened
        wanted.append(Wanted(flt, partial(students.open, flt, adapter, served), adapter, place, served))
    return score_several(wanted, absolute(articles), fmt=format, shards=shards, progress=progress)


class _Students:
    """Opens students; several of them share the tokens of each article where they have one tokenizer."""

    def __init__(self, store: Store, *, several: bool) -> None:
        self.store, self.several = store, several
        self._cache: TokenCache | None = None

    def open(self, flt: Filter, adapter: str, served: Plan) -> Predictor:
        from distillery.components.runtime.collector import lasting
        from distillery.components.student.bundle import open_bundle

        with lasting():
            student = open_bundle(self.store, flt.name, adapter, flt=flt, plan=served)
        if not self.several:
            return student
        from distillery.components.student.token_cache import Sharing, TokenCache

        self._cache = self._cache or TokenCache()
        return Sharing(student, self._cache)


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
    from distillery.components.runtime.caps import tell_caps
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.cluster_plan import plan_on_cluster
    from distillery.components.scoring.completion import notes
    from distillery.components.scoring.job import follow, submit
    from distillery.components.scoring.job_manifest import find_place
    from distillery.components.store import in_bucket, open_store

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
    from distillery.components.scoring.cluster_jobs import cancel, scores_of, unfinished
    from distillery.components.scoring.cluster_plan import plan_on_cluster
    from distillery.components.scoring.job import default_out
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
        print(f"unfinished: Job {job.metadata.name}, into {scores_of(job, subject.filter.name)}")
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
