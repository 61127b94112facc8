"""The audit step: what would make these labels unfit to learn from, found before anything is trained.

It reads labels only, no tiers and no weights, so that moving a threshold redoes no audit. The overall score is therefore
the unweighted mean of the dimensions here. Texts are read some at a time; memory holds a few numbers of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from distillery.components.articles.articles import own_id
from distillery.components.articles.near_names import Unread
from distillery.components.artifacts.audit import FILE, Audit, read_audit
from distillery.components.artifacts.folder_meta import LabelSetMeta
from distillery.components.artifacts.near_groups import stored_groups
from distillery.components.artifacts.split import SCORE, TEXTS, open_labels, without_texts
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import MANIFEST, Digest, Json, Store
from distillery.components.store.layout import AUDITS, LABEL_SETS, committed_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from distillery.components.artifacts.near_groups import NearGroups
    from distillery.components.auditing.text_pass import Texts

CODE = 5
BATCH = 2048  # articles that are looked at together


def audit_inputs(flt: Filter, label_set: str) -> dict[str, Json]:
    """Return everything that the audit of a label set depends on, by which its record is found.

    Args:
        flt: the filter.
        label_set: digest of the label set.

    Returns:
        Plain JSON values: version of the audit, label set, dimensions and the similarity of near-duplicates.
    """
    return {
        "code": CODE,
        "label_set": label_set,
        "dimensions": flt.dimensions,
        "duplicateJaccard": flt.spec.split.duplicateJaccard,
    }


def audit(
    store: Store,
    flt: Filter,
    *,
    label_set: str,
    progress: Progress = quiet,
    keep: Callable[[StepRecord], object] = lambda record: None,
) -> StepRecord:
    """Audit a label set, and store the document as audits/<audit>/audit.json.

    Args:
        store: where the labels are and the audit goes.
        flt: the filter.
        label_set: digest of the label set.
        progress: shows the checks that are done.
        keep: gets the record before a finding may stop the run, so that its report can show why.

    Returns:
        The record; outputs {"audit": digest}.

    Raises:
        InputError: nothing can be learned from these labels (too few articles, constant scores, one text), or they have other
            dimensions than the filter. The document is stored first.
    """

    def work() -> Outcome:
        threshold = flt.spec.split.duplicateJaccard
        with open_labels(store, label_set) as table:
            frame = without_texts(table)
            checked = examine(
                frame,
                flt.dimensions,
                score_matrix(frame, flt.dimensions).mean(axis=1),
                threshold=threshold,
                unread=LabelSetMeta.of(store.folder(LABEL_SETS, Digest(label_set))).unread or (),
                progress=progress,
                texts=lambda: _pieces(table.batches(TEXTS)),
                groups=lambda find: stored_groups(store, label_set, threshold, find, progress.note),
            )
        document = Audit.model_validate({"format": 1, "filter": flt.name, "label_set": label_set, **checked})
        digest = store.commit(AUDITS, {FILE: document.to_bytes()}, {"kind": "audit", "label_set": label_set})
        return Outcome({"audit": digest}, [committed_key(AUDITS, digest, name) for name in (MANIFEST, FILE)])

    record = run_step(store, "audit", audit_inputs(flt, label_set), work, note=progress.note)
    keep(record)
    findings = read_audit(store, record.outputs["audit"]).findings
    stops = [finding for finding in findings if finding.level == "stop"]
    for finding in findings:
        if finding.level != "info" and finding not in stops[:1] and not record.reused:  # the first stop is the error
            progress.note(f"{finding.level}: {finding.message}")
    if stops:
        raise InputError(
            stops[0].message + (f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""),
            where=f"label set {label_set[:12]}",
            hint=stops[0].hint,
        )
    return record


def score_matrix(frame: pa.Table, dimensions: list[str]) -> NDArray[np.float64]:
    """Return the scores of a label table as a matrix.

    Args:
        frame: a label table of n rows, with a column `score.<dimension>` each.
        dimensions: D names, in the order of the columns.

    Returns:
        (n, D) scores 0-10, NaN where one is missing.

    Raises:
        InputError: the table has other dimensions.
    """
    import numpy as np

    found = {column.removeprefix(SCORE) for column in frame.column_names if column.startswith(SCORE)}
    if found != set(dimensions):
        odd = sorted(found ^ set(dimensions))
        raise InputError(f"the labels and the filter differ in dimension {odd[0]!r}", hint="redo the labels with this filter")
    return np.column_stack([frame[SCORE + name].cast("float64").fill_null(math.nan).to_numpy() for name in dimensions])


def examine(
    frame: pa.Table,
    dimensions: list[str],
    overall: NDArray[np.float64],
    *,
    threshold: float = 0.7,
    unread: Sequence[Unread] = (),
    progress: Progress = quiet,
    texts: Texts | None = None,
    groups: Callable[[Callable[[], NearGroups]], NearGroups] = lambda find: find(),
) -> dict[str, Json]:
    """Run every check of the audit on a label table.

    Args:
        frame: a label table of n rows, with or without its texts.
        dimensions: names of the filter's dimensions.
        overall: (n,) one score per row, NaN where a dimension is missing.
        threshold: Jaccard similarity from which two articles are near-duplicates.
        unread: columns that the file seemed to have by another name.
        progress: shows the checks that are done.
        texts: gives titles and contents of the rows, some at a time; None for those of the table.
        groups: returns the copies and near-duplicates of the table, which what it is given would find.

    Returns:
        The fields of `Audit` that follow from the table: counts, tables, and findings, the gravest first.

    Raises:
        InputError: the table has other dimensions.
    """
    from distillery.components.articles.near_duplicates import exact_groups, near_groups
    from distillery.components.artifacts.near_groups import NearGroups
    from distillery.components.auditing import boilerplate, checks
    from distillery.components.auditing.findings import findings
    from distillery.components.auditing.text_pass import TextPass

    values = score_matrix(frame, dimensions)
    ids, sources = frame["id"].to_pylist(), frame["source"].to_pylist()
    articles = frame["article"].to_pylist()
    document: dict[str, Json] = {"rows": frame.num_rows, "articles": len(set(articles))}
    if unread:
        document["unread"] = list(unread)
    if unnamed := sum(name == own_id(article) for name, article in zip(ids, articles, strict=True)):
        document["unnamed"] = unnamed
    reading = texts or (lambda: _pieces(frame.select(list(TEXTS)).to_batches(max_chunksize=BATCH)))
    passed, languages, walls = TextPass(), checks.Languages(frame), list[int]()
    for titles, contents in reading():
        walls += [len(passed.total) + row for row in boilerplate.walls(titles, contents)]
        passed.add(titles, contents)
        languages.add(titles, contents)
        progress(len(passed.total), frame.num_rows, "articles")
    prints = passed.fingerprinting.prints()
    found = groups(lambda: NearGroups(exact_groups(prints), near_groups(prints, threshold)))
    parts: tuple[tuple[str, Callable[[], Json]], ...] = (
        ("dimensions", lambda: {name: checks.distribution(values[:, at]) for at, name in enumerate(dimensions)}),
        ("overall", lambda: checks.distribution(overall)),
        ("redundancy", lambda: checks.redundancy(values, dimensions)),
        ("duplicates", lambda: checks.duplicates(found, values, ids, threshold)),
        ("boilerplate", lambda: boilerplate.boilerplate(ids, sources, found.exact, walls, passed, reading)),
        ("languages", lambda: languages.table(overall)),
        ("sources", lambda: checks.sources(sources, overall)),
        ("lengths", lambda: checks.lengths(passed.word_counts, overall)),
        ("content_types", lambda: checks.table(frame["content_type"].to_pylist(), overall)),
    )
    for done, (name, check) in enumerate(parts):
        progress(done, len(parts), "checks")
        document[name] = check()
    progress(len(parts), len(parts), "checks")
    document["findings"] = findings(document)
    return document


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield titles and contents, about BATCH at a time: what is done once a piece costs little then."""
    titles, contents = list[str](), list[str]()
    for batch in batches:
        titles += batch["title"].to_pylist()
        contents += batch["content"].to_pylist()
        if len(titles) >= BATCH:
            yield titles, contents
            titles, contents = [], []
    if titles:
        yield titles, contents
