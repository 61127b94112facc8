"""The copies and near-duplicates of a label set: found once, for the audit, the split and its check for leaks alike.

They are stored as a table below the digest of its bytes, and found by what they depend on, as the result of any step is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from distillery.components.artifacts.split import TEXTS
from distillery.components.artifacts.step_record import Outcome, run_step
from distillery.components.store import Digest, Store, digest_bytes
from distillery.components.store.layout import duplicates_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from distillery.components.articles.table_file import TableFile

CODE: Final = 1
STEP: Final = "near-duplicates"


class NearGroups(NamedTuple):
    """Groups of n articles, each named by its first row.

    Attributes:
        exact: (n,) those of articles with the same words in the same order.
        near: (n,) those of near-duplicates, which hold whole groups of copies.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]


def stored_groups(
    store: Store,
    label_set: str,
    threshold: float,
    find: Callable[[], NearGroups],
    note: Callable[[str], None] = lambda text: None,
) -> NearGroups:
    """Return the groups of a label set as they were found before, or find and store them.

    Args:
        store: where they are kept.
        label_set: its digest.
        threshold: the Jaccard similarity from which two articles are near-duplicates.
        find: finds the groups of the label table's rows, in its order.
        note: told of what is damaged and found again.

    Returns:
        The groups.
    """
    from distillery.components.articles.label_table import read_table, write_table

    def work() -> Outcome:
        import pyarrow as pa

        data = write_table(pa.table(find()._asdict()))
        key = duplicates_key(digest := digest_bytes(data))
        store.put(key, data)
        return Outcome({"groups": digest}, [key])

    inputs = {"code": CODE, "label_set": label_set, "duplicateJaccard": threshold}
    groups = Digest(run_step(store, STEP, inputs, work, note=note).outputs["groups"])
    table = read_table(store.get(duplicates_key(groups), digest=groups))
    return NearGroups(*(table[name].to_numpy() for name in NearGroups._fields))


def find_groups(table: TableFile, threshold: float) -> NearGroups:
    """Find the copies and near-duplicates of a table; memory holds some of its texts at a time.

    Args:
        table: n rows with `title` and `content`.
        threshold: a Jaccard similarity, above 0 and at most 1.

    Returns:
        The groups.
    """
    from distillery.components.articles.near_duplicates import Fingerprinting, exact_groups, near_groups

    making = Fingerprinting()
    for batch in table.batches(TEXTS):
        making.add(batch["title"].to_pylist(), batch["content"].to_pylist())
    prints = making.prints()
    return NearGroups(exact_groups(prints), near_groups(prints, threshold))
