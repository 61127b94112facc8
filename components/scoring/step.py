"""The score step of a run: a scoring Job on the step's own cluster, and its record.

The step waits in a small pod (256 MB, no torch) while the Job's pods work. Ended from outside, it deletes the Job: a run that
was cancelled must not go on spending, and an eviction of the step's pod looks just the same from within. What is committed
stays, so the next run of the same inputs does what is left.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType

from distillery.components.artifacts.adapter import find_adapter
from distillery.components.artifacts.step_record import StepRecord
from distillery.components.runtime.caps import tell_caps
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.cluster_jobs import cancel
from distillery.components.scoring.cluster_plan import plan_on_cluster
from distillery.components.scoring.completion import notes
from distillery.components.scoring.job import follow, submit
from distillery.components.scoring.job_manifest import find_place
from distillery.components.store import Store, in_bucket
from distillery.components.store.layout import SUCCESS, scores_folder
from distillery.filters.errors import InputError, Stopped


def score_on_cluster(
    store: Store,
    adapter: str,
    articles: str,
    channel: str = "production",
    shards: int = 0,
    parallelism: int = 0,
    out: str = "",
    columns: Sequence[str] = (),
    *,
    progress: Progress = quiet,
) -> StepRecord:
    """Score a corpus with an adapter by a Job, and wait for it.

    Args:
        store: the store.
        adapter: a filter's name, or an adapter's digest.
        articles: s3:// address of a file or a prefix of files.
        channel: channel of the filter.
        shards: number of parts; 0 chooses.
        parallelism: pods at once; 0 chooses.
        out: s3:// address of the scores; empty for the store.
        columns: columns of the files by our names, each "column=name".
        progress: told how many articles are scored.

    Returns:
        The step's record, with outputs job, scores, articles, scored, prefiltered, rejected, shards, adapter, filter and tiers.

    Raises:
        InputError: an argument is wrong, or a part's input is bad.
        Stopped: the Job failed otherwise, or the step was told to end.
    """
    if not in_bucket(articles):
        raise InputError("must be an s3:// address", where="articles", hint="a file, or a prefix of files")
    if out and not in_bucket(out):
        raise InputError("must be an s3:// address", where="out", hint="s3://bucket/prefix, or leave it empty")
    if shards < 0 or parallelism < 0:
        raise InputError("must be 0 or more", where="shards" if shards < 0 else "parallelism", hint="0 chooses")
    subject, place = find_adapter(store, adapter, channel=channel or "production").renamed(columns), find_place()
    tell_caps(store, subject.filter, subject.adapter, progress)
    plan = plan_on_cluster(store, subject.filter, subject.adapter, articles, place, shards=shards)
    job = submit(store, plan, place, out=out, parallelism=parallelism, progress=progress)
    progress.note(
        f"{len(job.left):,} of {plan.shards:,} parts to do: {job.name or 'nothing'}{', adopted' if job.adopted else ''}"
    )

    def ended(number: int, frame: FrameType | None) -> None:
        cancel(place, job.out.uri, plan)
        raise Stopped("ended from outside; its Job was deleted", hint="the same run again does the parts that are left")

    before = signal.signal(signal.SIGTERM, ended)
    try:
        found = follow(job, progress)
    finally:
        signal.signal(signal.SIGTERM, before)
    for note in notes(found):
        progress.note(note)
    counts = found.model_dump(include={"articles", "scored", "prefiltered", "rejected", "tiers", "adapter", "filter"})
    outputs = {"job": plan.job, "scores": job.out.uri, "shards": plan.shards, **counts}
    inputs = {"job": plan.job, "out": job.out.uri}
    keys = [f"{scores_folder(plan.job)}/{SUCCESS}"]
    return StepRecord.of("score", inputs, outputs, keys, {"parts_done": len(job.left)}, reused=not job.left)
