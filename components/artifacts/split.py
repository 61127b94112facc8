"""What the split step leaves for training and benchmarking: three tables, and the digest of the test part.

The test digest is taken over articles and scores, not over bytes: another Parquet writer must not make yesterday's
benchmark incomparable. The price is one pass over the test part at every load (milliseconds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from distillery.components.store import Digest, Json, Store, StoreError, digest_json
from distillery.components.store.layout import LABEL_SETS, SPLITS
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SCORE = "score."
FILES = {"train": "train.parquet", "validation": "val.parquet", "test": "test.parquet"}
MIN_ARTICLES = 30  # distinct ones; with the usual shares three of them test and three validate


class Split(NamedTuple):
    train: pa.Table
    validation: pa.Table
    test: pa.Table
    meta: dict[str, Json]


def test_digest(frame: pa.Table) -> Digest:
    """Digest of a labelled table's articles and scores; neither row order, column order nor encoding matter."""
    names = sorted(column.removeprefix(SCORE) for column in frame.column_names if column.startswith(SCORE))
    if not names:
        raise ValueError("a table without scores is not a test part")
    rows = zip(*(frame[name].to_pylist() for name in ("article", *(SCORE + name for name in names))), strict=True)
    return digest_json([[row[0], dict(zip(names, map(float, row[1:]), strict=True))] for row in sorted(rows)])


test_digest.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it from any test module


def load_labels(store: Store, label_set: str) -> pa.Table:
    """The rows of a label set, verified. InputError where there is no such label set."""
    from distillery.components.articles.label_table import read_table

    return read_table(store.folder(LABEL_SETS, Digest(label_set)).read("labels.parquet"))


def load_split(store: Store, digest: str, *, expected_test: str | None = None) -> Split:
    """The split's three tables and its manifest's meta, every byte verified.

    expected_test: the test digest the caller goes by (an earlier benchmark, a verdict). InputError where the split's
    test part is another one; StoreError where the stored test part is not the one the split recorded.
    """
    from distillery.components.articles.label_table import read_table

    folder = store.folder(SPLITS, Digest(digest))
    folder.require(FILES.values())
    train, validation, test = (read_table(folder.read(name)) for name in FILES.values())
    found = test_digest(test)
    if found != folder.meta.get("test") or digest_json(sorted(test["article"].to_pylist())) != folder.meta.get("frozen"):
        raise StoreError(
            f"the test part ({found[:12]}…) is not the frozen one", where=folder.where, hint="redo the split from its label set"
        )
    if expected_test is not None and found != expected_test:
        raise InputError(
            f"test set {found[:12]}… is other than the frozen one, {expected_test[:12]}…",
            where=folder.where,
            hint="judge on the split that the verdict or benchmark names",
        )
    return Split(train, validation, test, dict(folder.meta))
