"""The scoring jobs of a store: what was scored with which adapter, and how much of it is done.

Scores that were sent to another address with --out lie there, and no store knows of them.
"""

from __future__ import annotations

from typing import TypeVar

from distillery.components.artifacts.scores import Scores, ScoringPlan
from distillery.components.store import NotFound, Store, StoreError
from distillery.components.store.layout import SCORES, SCORING_PLAN, SUCCESS, part_facts_key, scores_folder
from distillery.pipelines.inventory.reading import Reader, Row, each, moment

D = TypeVar("D", Scores, ScoringPlan)


def job_rows(store: Store, filter: str = "") -> list[Row]:
    """Return a row for each scoring job.

    Args:
        store: the store.
        filter: name of a filter, to leave others out; empty for all.

    Returns:
        Rows, the newest job first.
    """
    rows = each(store.folders(SCORES), lambda job: _row(store, job))
    newest = sorted(rows, key=lambda row: (row["modified"] or "", row["name"]), reverse=True)
    return [row for row in newest if filter in ("", row["filter"])]


def _row(store: Store, job: str) -> Row:
    folder, reader = scores_folder(job), Reader()
    bookkeeping, _, first = part_facts_key(0).rpartition("/")
    stem = first.partition("-")[0]
    files = list(store.entries(folder))
    entries = [entry for entry in files if entry.key.startswith(f"{folder}/{bookkeeping}/")]
    facts = sum(entry.key.rpartition("/")[2].startswith(f"{stem}-") for entry in entries)
    scores = reader.read(lambda: _done(store, f"{folder}/{SUCCESS}", job))
    plan = (
        None if scores else reader.read(lambda: _own(ScoringPlan.load(store, f"{folder}/{SCORING_PLAN}"), store, folder, job))
    )
    of = scores or plan
    parts = len(scores.parts) if scores else plan.shards if plan else None
    return {
        "name": job,
        "filter": of.filter if of else None,
        "version": of.version if of else None,
        "adapter": of.adapter if of else None,
        "state": "done" if scores else "unfinished" if plan else "unreadable",
        "parts_done": parts if scores else facts,
        "parts": parts,
        "articles": scores.articles if scores else None,
        "scored": scores.scored if scores else None,
        "prefiltered": scores.prefiltered if scores else None,
        "rejected": scores.rejected if scores else None,
        "tiers": scores.tiers if scores else None,
        "size": sum(entry.size for entry in files),
        "out": f"{store.uri}/{folder}",
        "modified": moment(max((entry.modified for entry in entries), default=None)),
        "error": reader.error,
    }


def _done(store: Store, key: str, job: str) -> Scores | None:
    """Return what _SUCCESS says; None where the job isn't done."""
    try:
        return _own(Scores.load(store, key), store, key, job)
    except NotFound:
        return None


def _own(document: D, store: Store, key: str, job: str) -> D:
    """Return a document of this job; StoreError for another's."""
    if document.job != job:
        raise StoreError("is another job's", where=f"{store.uri}/{key}", hint="delete it")
    return document


def job_details(store: Store, row: Row) -> Row:
    """Return what `describe` says of a job beside its row.

    Args:
        store: the store.
        row: of the job.

    Returns:
        Where its corpus is; nothing where the plan can't be read.
    """
    plan = Reader().read(lambda: ScoringPlan.load(store, f"{scores_folder(row['name'])}/{SCORING_PLAN}"))
    return {"corpus": plan.corpus.where, "files": len(plan.corpus.files), "filter_key": plan.filter_key} if plan else {}
