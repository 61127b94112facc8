"""What the split step leaves for training and benchmarking: three tables, and the digest of the test part.

The test digest is taken over articles and scores, not over bytes: another Parquet writer must not make yesterday's
benchmark incomparable. The price is one pass over the test part at every load (milliseconds).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from distillery.components.artifacts.folder_meta import SplitMeta, SplitRows
from distillery.components.store import Digest, Folder, Store, StoreError, digest_json
from distillery.components.store.layout import LABEL_SETS, SPLITS
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from distillery.components.articles.table_file import TableFile

SCORE = "score."
TEXTS = ("title", "content")  # the columns that weigh
LABELS = "labels.parquet"
FILES = {"train": "train.parquet", "validation": "val.parquet", "test": "test.parquet"}
MIN_ARTICLES = 30  # distinct ones; with the usual shares three of them test and three validate


class Split(NamedTuple):
    """The three labelled tables, and the meta of the split's manifest."""

    train: pa.Table
    validation: pa.Table
    test: pa.Table
    meta: SplitMeta


def test_digest(frame: pa.Table) -> Digest:
    """Return the digest of a labelled table's articles and scores.

    The order of rows and columns and the encoding do not matter.

    Args:
        frame: the table, with a column `article` and one `score.<dimension>` each.

    Returns:
        The digest.

    Raises:
        ValueError: it has no scores.
    """
    names = sorted(column.removeprefix(SCORE) for column in frame.column_names if column.startswith(SCORE))
    if not names:
        raise ValueError("a table without scores is not a test part")
    rows = zip(*(frame[name].to_pylist() for name in ("article", *(SCORE + name for name in names))), strict=True)
    return digest_json([[row[0], dict(zip(names, map(float, row[1:]), strict=True))] for row in sorted(rows)])


test_digest.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it from any test module


def load_labels(store: Store, label_set: str) -> pa.Table:
    """Return the rows of a label set, verified.

    Args:
        store: where it is.
        label_set: its digest.

    Returns:
        The label table.

    Raises:
        NotFound: there is no such label set.
    """
    from distillery.components.articles.label_table import read_table

    return read_table(store.folder(LABEL_SETS, Digest(label_set)).read(LABELS))


@contextmanager
def open_labels(store: Store, label_set: str) -> Iterator[TableFile]:
    """Open the rows of a label set, verified, to be read in pieces: their texts may be more than memory holds.

    Args:
        store: where it is.
        label_set: its digest.

    Yields:
        The label table.

    Raises:
        NotFound: there is no such label set.
        InputError: there is no room for a copy among the temporary files.
    """
    with _opened(store.folder(LABEL_SETS, Digest(label_set)), LABELS) as table:
        yield table


@contextmanager
def _opened(folder: Folder, name: str) -> Iterator[TableFile]:
    from distillery.components.articles.label_table import open_table
    from distillery.components.articles.scratch import scratch_folder

    with scratch_folder("distillery-table-") as scratch, open_table(folder.download(scratch, [name]) / name) as table:
        yield table


class StoredSplit:
    """A split in the store: its manifest is read at once, its tables when they are first asked for, and then only once."""

    def __init__(self, store: Store, digest: str) -> None:
        """Read the manifest of a split.

        Args:
            store: where the split is.
            digest: of the split.

        Raises:
            NotFound: there is no such split.
            StoreError: the folder holds something else.
        """
        self._folder = store.folder(SPLITS, Digest(digest))
        self._meta = SplitMeta.of(self._folder)
        self._tables: Split | None = None

    @property
    def test(self) -> str:
        """Return the digest of the test part, as the manifest has it."""
        return self._meta.test

    @property
    def label_set(self) -> str:
        """Return the digest of the label set that the split was made from."""
        return self._meta.label_set

    @property
    def rows(self) -> SplitRows:
        """Return the articles by part, as the manifest has them."""
        return self._meta.rows

    def tables(self) -> Split:
        """Return the three tables and the manifest's meta, every byte verified.

        Returns:
            The split.

        Raises:
            StoreError: the stored test part is not the one that the split recorded.
        """
        if self._tables is None:
            self._tables = _read_tables(self._folder, self._meta)
        return self._tables


def load_test(store: Store, digest: str) -> pa.Table:
    """Return the test part of a split, every byte of it verified; the other parts are not read.

    Args:
        store: where the split is.
        digest: of the split.

    Returns:
        The label table.

    Raises:
        NotFound: there is no such split.
        StoreError: the stored test part is not the one that the split recorded.
    """
    from distillery.components.articles.label_table import read_table

    folder = store.folder(SPLITS, Digest(digest))
    folder.require(FILES.values())
    test = read_table(folder.read(FILES["test"]))
    _refuse_other_test(folder, SplitMeta.of(folder), test)
    return test


def load_split(store: Store, digest: str, *, expected_test: str | None = None) -> Split:
    """Return the split's three tables and its manifest's meta, every byte verified.

    Args:
        store: where the split is.
        digest: of the split.
        expected_test: the test digest the caller goes by (an earlier benchmark, a verdict); None for any.

    Returns:
        The split.

    Raises:
        InputError: the split's test part is another one.
        NotFound: there is no such split.
        StoreError: the stored test part is not the one that the split recorded.
    """
    stored = StoredSplit(store, digest)
    split = stored.tables()
    if expected_test is not None and stored.test != expected_test:
        raise InputError(
            f"test set {stored.test[:12]}… is other than the frozen one, {expected_test[:12]}…",
            where=f"split {digest[:12]}",
            hint="judge on the split that the verdict or benchmark names",
        )
    return split


class SplitFiles(NamedTuple):
    """The three labelled tables, to be read in pieces."""

    train: TableFile
    validation: TableFile
    test: TableFile


@contextmanager
def open_split(store: Store, digest: str) -> Iterator[SplitFiles]:
    """Open the tables of a split, every byte verified: their texts may be more than memory holds.

    Args:
        store: where the split is.
        digest: of the split.

    Yields:
        The tables.

    Raises:
        NotFound: there is no such split.
        StoreError: the stored test part is not the one that the split recorded.
    """
    from distillery.components.articles.label_table import open_table
    from distillery.components.articles.scratch import scratch_folder

    folder = store.folder(SPLITS, Digest(digest))
    folder.require(FILES.values())
    with scratch_folder("distillery-split-") as scratch, ExitStack() as opened:
        folder.download(scratch)
        files = SplitFiles(*(opened.enter_context(open_table(scratch / name)) for name in FILES.values()))
        _refuse_other_test(folder, SplitMeta.of(folder), without_texts(files.test))
        yield files


def without_texts(table: TableFile) -> pa.Table:
    """Return all columns of a table but those that weigh.

    Args:
        table: a label table.

    Returns:
        Its rows, without title and content.
    """
    return table.read([name for name in table.schema.names if name not in TEXTS])


def _read_tables(folder: Folder, meta: SplitMeta) -> Split:
    """Return the tables of a split; refuse a test part other than the frozen one."""
    from distillery.components.articles.label_table import read_table

    folder.require(FILES.values())
    train, validation, test = (read_table(folder.read(name)) for name in FILES.values())
    _refuse_other_test(folder, meta, test)
    return Split(train, validation, test, meta)


def _refuse_other_test(folder: Folder, meta: SplitMeta, test: pa.Table) -> None:
    """Raise unless a split's test part, with or without its texts, is the frozen one."""
    digest = test_digest(test)
    if digest != meta.test or digest_json(sorted(test["article"].to_pylist())) != meta.frozen:
        raise StoreError(
            f"the test part ({digest[:12]}…) is not the frozen one",
            where=folder.where,
            hint="redo the split from its label set",
        )
