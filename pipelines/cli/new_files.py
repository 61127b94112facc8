"""`distillery score --new-only`: the files of a corpus that no pass has scored yet, on this machine or over a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from distillery.components.preflight.request import absolute
from distillery.filters.errors import InputError
from distillery.pipelines.cli.options import open_existing, store_uri

if TYPE_CHECKING:
    from distillery.components.scoring.plan import Plan
    from distillery.components.student.student import Student
    from distillery.filters.filter import Filter

OnPromotion = Literal["rescore", "new-only"]


def new_files_here(
    subject: str,
    channel: str,
    articles: str,
    out: str,
    store: str | None,
    format: Literal["parquet", "jsonl"],
    map: list[str],
    on_promotion: OnPromotion,
) -> dict[str, Any]:
    """Score new files on this machine.

    Args:
        subject: a filter, or an adapter's digest.
        channel: channel of the filter; empty for the one that it names.
        articles: address of the corpus.
        out: where all passes lie.
        store: as typed.
        format: of the parts.
        map: columns by our names, as typed.
        on_promotion: what to do with files that an earlier adapter scored.

    Returns:
        What `distillery.components.scoring.passes.told` returns, with "seconds".

    Raises:
        InputError: something can't be used.
    """
    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.artifacts.filter import is_published, publish_filter, read_filter
    from distillery.components.runtime.extras import STUDENT, require

    require(STUDENT)
    from distillery.components.runtime.caps import tell_caps
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.plan import FP32
    from distillery.components.scoring.score import score_new
    from distillery.components.student.devices import serving_plan

    opened = open_existing(store)
    flt, adapter = find_adapter(opened, subject, channel=channel, here=True).renamed(map)
    if not is_published(opened, flt):
        publish_filter(opened, flt)
    progress = reporter("score")
    tell_caps(opened, flt, adapter, progress)

    def of_plan(plan: Plan) -> tuple[Filter, Any]:
        from distillery.components.runtime.collector import lasting
        from distillery.components.student.bundle import open_bundle

        mine = flt if plan.adapter == adapter else read_filter(opened, plan.filter_key)

        def student() -> Student:
            with lasting():
                return open_bundle(opened, mine.name, plan.adapter, flt=mine, plan=plan.served or FP32)

        return mine, student

    return score_new(
        flt,
        absolute(articles),
        store_uri(out),
        adapter=adapter,
        opened=of_plan,
        fmt=format,
        on_promotion=on_promotion,
        served=serving_plan(opened, flt.name, adapter, flt.spec.student, progress),
        progress=progress,
    )


def new_files_on_cluster(
    subject: str,
    channel: str,
    articles: str,
    out: str,
    parallelism: int,
    namespace: str,
    store: str | None,
    map: list[str],
    on_promotion: OnPromotion,
) -> dict[str, Any]:
    """Score new files by an Indexed Job for each pass, and follow it.

    Args:
        subject: a filter, or an adapter's digest.
        channel: channel of the filter; empty for the one that it names.
        articles: s3:// address of the corpus.
        out: s3:// address where all passes lie.
        parallelism: pods at once; 0 chooses.
        namespace: of the pods; empty for the cluster's own.
        store: as typed.
        map: columns by our names, as typed.
        on_promotion: what to do with files that an earlier adapter scored.

    Returns:
        What `distillery.components.scoring.passes.told` returns, with "seconds".

    Raises:
        InputError: something can't be used, or a file can't be scored.
    """
    import time

    from distillery.components.artifacts.adapter import find_adapter
    from distillery.components.runtime.caps import tell_caps
    from distillery.components.runtime.progress import reporter
    from distillery.components.scoring.job_manifest import find_place
    from distillery.components.scoring.new_files import score_new_on_cluster
    from distillery.components.store import in_bucket, open_store

    began, place = time.monotonic(), find_place(namespace)
    uri = store_uri(place.store or None if store is None else store)
    for where, address in (("--store", uri), ("--out", out), ("ARTICLES", articles)):
        if not in_bucket(address):
            raise InputError("is no place that a cluster reaches", where=f"{where} {address}", hint="give s3://bucket/prefix")
    opened, progress = open_store(uri), reporter("score")
    named = find_adapter(opened, subject, channel=channel, here=True).renamed(map)
    tell_caps(opened, *named, progress)
    found = score_new_on_cluster(
        opened,
        named,
        articles,
        out,
        place,
        parallelism=parallelism,
        on_promotion=on_promotion,
        progress=progress,
    )
    return found | {"seconds": round(time.monotonic() - began, 3)}


def print_passes(found: Mapping[str, Any]) -> None:
    """Print what became of new files.

    Args:
        found: what `told` returned.
    """
    if found["reused"]:
        print("no file is new")
    for each in found["passes"]:
        tiers = ", ".join(f"{name} {n:,}" for name, n in each["tiers"].items())
        print(f"pass {each['number']}: {each['scored']:,} articles of {each['files']:,} files: {tiers}")
        print(f"{each['prefiltered']:,} refused by the prefilter, {each['rejected']:,} bad rows")
    print(f"scores: {found['current'] or found['out']}")
