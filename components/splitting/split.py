"""The split step: find or freeze the test part, assign every article to a part, check for leaks, commit three tables.

The test part is frozen before the tables are written, so a run killed in between finds its own test part and ends with
the same digests. Near-duplicates are those that the audit found, or are found here; the assignment and the check afterwards
go by them separately, so that the check would catch a fault of the assignment. Texts are copied some at a time: what the
assignment holds of an article is its digest, its scores and its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distillery.components.artifacts.folder_meta import Groups, SplitMeta, SplitRows, Stratum
from distillery.components.artifacts.frozen_tests import Lineage
from distillery.components.artifacts.split import FILES, open_labels, test_digest, without_texts
from distillery.components.artifacts.step_record import Outcome, StepRecord, run_step
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.splitting.frozen import applicable, freeze, read_frozen
from distillery.components.store import MANIFEST, Conflict, Digest, Json, Store, digest_json
from distillery.components.store.layout import SPLITS, committed_key
from distillery.filters.filter import Filter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from distillery.components.articles.table_file import TableFile
    from distillery.components.splitting.assign import Assignment

CODE = 1
ATTEMPTS = 5
SMALL_TEST = 0.5  # of the policy's share: a test part frozen from far fewer labels


def split_inputs(flt: Filter, label_set: str, frozen: str | None) -> dict[str, Json]:
    """Return what the result of the split depends on.

    Args:
        flt: the filter.
        label_set: digest of the label set.
        frozen: digest of the test part; None where one is still to be drawn.

    Returns:
        A JSON object whose digest is the step's key.
    """
    return {
        "code": CODE,
        "label_set": label_set,
        "dimensions": flt.dimensions,
        "policy": flt.spec.split.model_dump(),
        "frozen": frozen,
    }


def frozen_test(store: Store, flt: Filter, label_set: str) -> Digest | None:
    """Return the frozen test part that a split of these labels would use.

    Args:
        store: the store.
        flt: the filter.
        label_set: digest of the label set.

    Returns:
        Its digest; None where a split would draw a new one.

    Raises:
        InputError: there is no such label set, or it holds most of a frozen test part, but not all of it.
    """
    with open_labels(store, label_set) as table:
        articles = table.read(["article"])["article"].to_pylist()
    lineage = applicable(read_frozen(store, flt), articles, flt.spec.split.seed)
    return lineage.digest if lineage else None


def split(store: Store, flt: Filter, *, label_set: str, progress: Progress = quiet) -> StepRecord:
    """Split a label set into train, validation and test.

    Args:
        store: the store, which gets the three tables.
        flt: the filter, with the split policy.
        label_set: digest of the label set.
        progress: shows what is done.

    Returns:
        The step's record, with outputs {"split": digest, "test": digest, "rows": articles by part}.

    Raises:
        InputError: too few articles, constant scores, or labels that hold most of a frozen test part, but not all of it.
        Conflict: other processes changed the frozen test parts again and again meanwhile.
    """
    with open_labels(store, label_set) as table:
        return _split(store, flt, label_set, table, progress)


def _split(store: Store, flt: Filter, label_set: str, table: TableFile, progress: Progress) -> StepRecord:
    from distillery.components.articles.near_duplicates import first_rows
    from distillery.components.artifacts.near_groups import find_groups, stored_groups
    from distillery.components.splitting.assign import assign, distinct_rows, group_rows

    small = without_texts(table)
    rows, counts = distinct_rows(small, table.take)
    articles = small.take(rows)
    overall = overall_scores(articles, flt)
    threshold = flt.spec.split.duplicateJaccard
    found: NDArray[np.int64] | None = None

    def near() -> NDArray[np.int64]:
        nonlocal found
        if found is None:
            groups = stored_groups(store, label_set, threshold, lambda: find_groups(table, threshold), progress.note)
            found = first_rows(groups.near[rows])
        return found

    drawn: Assignment | None = None
    lineage: Lineage | None = None
    for _ in range(ATTEMPTS):
        frozen = read_frozen(store, flt)
        if lineage := applicable(frozen, articles["article"].to_pylist(), flt.spec.split.seed):
            break
        drawn = drawn or assign(articles, overall, flt.spec.split, group=group_rows(articles, near()))
        try:
            lineage = freeze(store, flt, frozen, articles.filter(drawn.part == "test")["article"].to_pylist())
        except Conflict:
            continue  # somebody froze one meanwhile, perhaps for these labels
        progress.note(f"a new test part of {len(lineage.test):,} articles is frozen ({lineage.digest[:12]})")
        break
    if lineage is None:
        raise Conflict(f"the frozen test part changed {ATTEMPTS} times while it was read")
    chosen = lineage
    if len(chosen.test) < SMALL_TEST * flt.spec.split.test * articles.num_rows:
        progress.note(
            f"the frozen test part holds {len(chosen.test):,} of {articles.num_rows:,} articles; "
            f"begin a larger one with --set split.seed={flt.spec.split.seed + 1}"
        )

    def work() -> Outcome:
        group = drawn.group if drawn else group_rows(articles, near())
        assignment = assign(articles, overall, flt.spec.split, chosen.test, group=group)
        return _commit(store, flt, label_set, Distinct(table, rows, articles, near()), assignment, counts, chosen, progress)

    return run_step(store, "split", split_inputs(flt, label_set, chosen.digest), work, note=progress.note)


def overall_scores(table: pa.Table, flt: Filter) -> NDArray[np.float64]:
    """Return the scores that a split stratifies by: the unweighted mean, so that new weights don't redo the split.

    Args:
        table: a label table of n rows.
        flt: the filter, with the dimensions.

    Returns:
        (n,) the mean over the dimensions.
    """
    from distillery.components.articles.label_table import scores

    mean: NDArray[np.float64] = scores(table, flt.dimensions).mean(axis=1)
    return mean


class Distinct(NamedTuple):
    """One row of a label table for each article.

    Attributes:
        table: the label table.
        rows: (n,) numbers of its rows.
        articles: these rows, without their texts.
        near: (n,) the first of them of each one's group of near-duplicates.
    """

    table: TableFile
    rows: NDArray[np.int64]
    articles: pa.Table
    near: NDArray[np.int64]


def _commit(
    store: Store,
    flt: Filter,
    label_set: str,
    labels: Distinct,
    assignment: Assignment,
    counts: dict[str, int],
    lineage: Lineage,
    progress: Progress,
) -> Outcome:
    import numpy as np

    from distillery.components.articles.label_table import write_rows
    from distillery.components.articles.scratch import scratch_folder
    from distillery.components.splitting.assign import WITHHELD, counts_by_stratum
    from distillery.components.splitting.leaks import refuse_leaks

    if len(set(assignment.stratum.tolist())) < 2:
        raise RuntimeError("every article is in one stratum: the overall score was read wrongly")
    tested = labels.articles.filter(assignment.part == "test")
    if digest_json(tested["article"].to_pylist()) != lineage.digest:
        raise RuntimeError("the test part is other than the frozen one")
    refuse_leaks(labels.table, labels.rows, labels.near, assignment.part)
    rows = {**assignment.rows(), **counts}
    test = test_digest(tested)
    sizes = np.unique(assignment.group, return_counts=True)[1].tolist()
    meta = SplitMeta(
        label_set=label_set,
        policy=flt.spec.split.model_dump(),
        dimensions=flt.dimensions,
        rows=SplitRows.model_validate(rows),
        strata=[Stratum.model_validate(counts) for counts in counts_by_stratum(assignment)],
        frozen=lineage.digest,
        test=test,
        groups=Groups(articles=len(sizes), of_several=sum(size > 1 for size in sizes), largest=max(sizes)),
    )
    with scratch_folder("distillery-split-") as folder:
        for part, name in FILES.items():
            write_rows(folder / name, labels.table, labels.rows[assignment.part == part])
        digest = store.commit(SPLITS, {name: folder / name for name in FILES.values()}, meta.to_json())
    progress.note(
        ", ".join(f"{rows[part]:,} {part}" for part in FILES)
        + (f", {rows[WITHHELD]:,} withheld as near-duplicates of test articles" if rows[WITHHELD] else "")
        + (f", {rows['copies']:,} copies left out" if rows["copies"] else "")
    )
    keys = [committed_key(SPLITS, digest, name) for name in (MANIFEST, *FILES.values())]
    return Outcome({"split": digest, "test": test, "rows": rows}, keys)
