"""Scoring the new files of a corpus over a cluster: an Indexed Job a pass, submitted once for the same files."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.scores import Scores
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.cluster_jobs import is_at, jobs_of
from distillery.components.scoring.cluster_plan import plan_over
from distillery.components.scoring.completion import notes
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.job import follow, submit
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.passes import OnPromotion, Work, require_outside, score_passes, told
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store


class JobState(NamedTuple):
    """What has become of the Job of a pass.

    Attributes:
        state: "none" where there is none, "running", "failed" or "ended".
        at: when it failed or ended; None where that is not known.
        seconds: from its start to its end; None where that is not known.
        words: why it failed; "" where it did not.
    """

    state: Literal["none", "running", "failed", "ended"]
    at: datetime | None = None
    seconds: float | None = None
    words: str = ""


def job_state(place: Place, plan: Plan, scores: str) -> JobState:
    """Return what has become of the last Job of a pass.

    Args:
        place: the cluster's namespace and settings.
        plan: what is scored.
        scores: URI of the pass's scores.

    Returns:
        Its state.

    Raises:
        InputError: the API server refuses.
        Stopped: it can't be reached.
    """
    jobs = [job for job in jobs_of(place, plan.filter) if is_at(job, plan, scores)]
    if not jobs:
        return JobState("none")
    last = jobs[-1]
    ends = [each for each in last.status.conditions or [] if each.status == "True" and each.type in ("Complete", "Failed")]
    if not ends:
        return JobState("running")
    at, began = getattr(ends[0], "last_transition_time", None), getattr(last.status, "start_time", None)
    seconds = (at - began).total_seconds() if at and began else None
    failed = ends[0].type == "Failed"
    return JobState("failed" if failed else "ended", at, seconds, (ends[0].message or ends[0].reason or "") if failed else "")


def score_new_on_cluster(
    store: Store,
    subject: Subject,
    articles: str,
    out: str,
    place: Place,
    *,
    parallelism: int = 0,
    on_promotion: OnPromotion = "rescore",
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Score the files of a corpus that no pass into this place has scored, and wait for it.

    Args:
        store: the store that the pods read from.
        subject: filter and adapter.
        articles: s3:// address of a prefix.
        out: s3:// address where all passes lie.
        place: the cluster's namespace and settings.
        parallelism: pods at once; 0 chooses.
        on_promotion: what to do with files that an earlier adapter scored.
        progress: told how many articles are scored.

    Returns:
        What `told` returns.

    Raises:
        InputError: a file can't be scored, or `out` holds passes over another corpus.
        Stopped: the Job failed otherwise, or was deleted.
    """
    flt, adapter = subject
    corpus = find_corpus(articles)
    require_outside(corpus, out)
    publish_filter(store, flt)
    scores = open_store(out)

    def plan(new: Corpus, per_file: bool) -> Plan:
        return plan_over(store, flt, adapter, new, place, per_file=per_file)

    def run(plan: Plan, at: Store) -> Scores:
        job = submit(store, plan, replace(place, image=plan.code), out=at.uri, parallelism=parallelism, progress=progress)
        found = follow(job, progress)
        for note in notes(found):
            progress.note(note)
        return found

    work = Work(adapter, place.image, plan, on_promotion)
    return told(scores, flt.name, corpus, score_passes(scores, flt.name, corpus, work, run, progress=progress))
