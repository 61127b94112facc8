"""A label set as it is committed: of labels that people brought, or of those that an oracle gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distillery.components.articles.articles import Rejects, read_labels
from distillery.components.articles.label_table import label_table, write_table
from distillery.components.artifacts.folder_meta import LabelMapping, LabelSetMeta
from distillery.components.artifacts.step_record import Outcome
from distillery.components.runtime.progress import Progress
from distillery.components.store import Store
from distillery.components.store.layout import LABEL_SETS, MANIFEST, committed_key
from distillery.filters.filter import Filter


def import_labels(store: Store, flt: Filter, path: Path, max_rejects: str, progress: Progress) -> Outcome:
    """Read the labels of a file and commit them as a label set.

    Args:
        store: the store, which gets the label set.
        flt: the filter.
        path: the file, or a folder of files.
        max_rejects: how many bad rows may be left out, "20" or "1%".
        progress: told how many there are.

    Returns:
        The step's outcome.

    Raises:
        InputError: the file can't be used, or too many rows are bad.
    """
    rejects = Rejects()
    imported = list(
        read_labels(
            path,
            flt.dimensions,
            rejects=rejects,
            max_rejects=max_rejects,
            content_types=flt.content_types,
            columns=flt.columns,
            form=flt.score_form,
        )
    )
    progress(len(imported), len(imported), "labels")
    table = label_table(imported, flt.dimensions).sort_by([("article", "ascending"), ("id", "ascending")])
    files: dict[str, bytes | Path] = {"labels.parquet": write_table(table)}
    origin: dict[str, Any] = {"rubric": None, "oracle": None, "mapping": _mapping(flt)}
    return commit_labels(store, flt, files, table.num_rows, 0, rejects, origin, progress)


def _mapping(flt: Filter) -> LabelMapping | None:
    """Return what the label set states of names and scales; None where the scores were read as they stand.

    Columns alone move nothing, and label sets made before there were scales have no more to say.
    """
    form = flt.score_form
    if not form.to_json() and not any("." in name for name in flt.columns):
        return None
    scales = {name: list(scale) for name, scale in form.scales.items()}
    return LabelMapping(columns=flt.columns, dimensions=dict(form.dimensions), scales=scales)


def commit_labels(
    store: Store,
    flt: Filter,
    files: dict[str, bytes | Path],
    rows: int,
    dead: int,
    rejects: Rejects,
    origin: dict[str, Any],
    progress: Progress,
    facts: dict[str, Any] | None = None,
) -> Outcome:
    """Commit a label set, and tell what was left out of it.

    Args:
        store: the store.
        flt: the filter.
        files: the table, and the dead letters where there are any.
        rows: articles that got a label.
        dead: articles that got none.
        rejects: rows that could not be read.
        origin: what the manifest says of rubric, oracle and mapping.
        progress: told what was left out.
        facts: what the run took.

    Returns:
        The step's outcome.
    """
    if rejects.count:
        files["rejects.jsonl"] = rejects.jsonl(nameless=True)
    for note in rejects.notes():
        progress.note(note)
    if unread := rejects.seen.unread():
        origin["unread"] = unread
    counts = {"rows": rows, "dead": dead, "rejected": rejects.count}
    meta = LabelSetMeta.model_validate({"filter": flt.name, "dimensions": flt.dimensions, **origin, **counts})
    digest = store.commit(LABEL_SETS, files, meta.to_json())
    if rejects.count:
        first = rejects.first[0]
        progress.note(
            f"{rejects.count} bad rows left out (line {first.line}: {first.reason}): "
            f"{store.uri}/{committed_key(LABEL_SETS, digest, 'rejects.jsonl')}"
        )
    if dead:
        progress.note(
            f"{dead} articles got no label, with raw replies: {store.uri}/{committed_key(LABEL_SETS, digest, 'dead.jsonl')}"
        )
    keys = [committed_key(LABEL_SETS, digest, name) for name in (MANIFEST, *files)]
    return Outcome({"label_set": digest, **counts}, keys, facts or {})
