"""Scoring the new files of a corpus over a cluster: an Indexed Job a pass, submitted once for the same files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from distillery.components.artifacts.adapter import Subject
from distillery.components.artifacts.filter import publish_filter
from distillery.components.artifacts.scores import Scores
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.scoring.completion import notes
from distillery.components.scoring.corpus import Corpus, find_corpus
from distillery.components.scoring.job import follow, plan_over, submit
from distillery.components.scoring.job_manifest import Place
from distillery.components.scoring.passes import OnPromotion, Work, require_outside, score_passes, told
from distillery.components.scoring.plan import Plan
from distillery.components.store import Store, open_store


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

    work = Work(adapter, place.image, plan, run, on_promotion)
    return told(scores, flt.name, corpus, score_passes(scores, flt.name, corpus, work, progress=progress))
