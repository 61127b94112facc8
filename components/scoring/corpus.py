"""A corpus, and its cut into parts: which bytes of which files are part i of n, known without reading them.

All files lie end to end on one axis of bytes, and part i owns an equal stretch of it: the lines (or Parquet rows) that begin
there. So the cut is deterministic, every row is in exactly one part for any n, and nobody reads the corpus to plan it. What it
costs: one HEAD and one read of 8 KB a file; then an index reads of
  JSONL    its stretch, and at most one line more at either end;
  Parquet  the footers, and its rows' row groups from their start: 40 µs for a row skipped (one row at a time is what keeps
           a bomb small), so 4 s at most in a group of 100,000;
  gzip     the file from its start to the end of the stretch, since gzip has no way in: some 300 MB/s unpacked, so the
           last of many parts of a file that unpacks to 10 GB waits 35 s. Many files, or plain JSONL, cost nothing of this;
  others   the whole file, where its first byte is in the stretch: CSV, JSON lists and workbooks are not cut.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from distillery.components.articles.columns import COLUMNS, Renamed
from distillery.components.articles.folders import shard_names
from distillery.components.articles.forms import HEAD, READ, Kind, file_kind
from distillery.components.articles.hub import SCHEME, hub_path
from distillery.components.articles.input_files import parse_address
from distillery.components.articles.readers import Rows
from distillery.components.artifacts.scores import PlannedCorpus
from distillery.components.store import (
    Address,
    Digest,
    NotFound,
    StoreError,
    digest_file,
    digest_json,
    in_bucket,
    open_bucket,
)
from distillery.components.store.address import scheme_of
from distillery.filters.errors import InputError

PARQUET_WINDOW = 2**20


@dataclass(frozen=True)
class CorpusFile:
    """Say which file, and which version of it, is scored.

    Attributes:
        name: below the corpus's folder.
        size: in bytes.
        etag: of the version planned for; a local file's sha256.
        kind: its form.
    """

    name: str
    size: int
    etag: str
    kind: Kind


class Stamp(NamedTuple):
    """Size, mtime and inode of a local file at planning time; if any differs later, the file was modified or replaced."""

    size: int
    mtime_ns: int
    inode: int

    @staticmethod
    def of(status: os.stat_result) -> Stamp:
        """Return the stamp of a file.

        Args:
            status: what os.stat says of it.

        Returns:
            The stamp.
        """
        return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


class Piece(NamedTuple):
    """Bytes [start, end) of one of the files, by its number."""

    file: int
    start: int
    end: int


@dataclass(frozen=True)
class Corpus:
    """List the files of a corpus.

    Attributes:
        where: the folder, "s3://bucket/prefix" or a path; no part of the digest, since the etags say what is read.
        files: the files, in the order in which they are read.
        stamps: of each local file, if it was planned in this process; no part of the digest, of equality or of a written plan.
    """

    where: str
    files: list[CorpusFile]
    stamps: tuple[Stamp, ...] = field(default=(), compare=False, repr=False)

    @cached_property
    def digest(self) -> Digest:
        """Return the digest of the files' names, sizes, versions and kinds."""
        return digest_json([asdict(file) for file in self.files])

    @property
    def size(self) -> int:
        """Return the bytes of all files together."""
        return sum(file.size for file in self.files)

    def document(self) -> PlannedCorpus:
        """Return the corpus as a written plan holds it.

        Returns:
            The document, without stamps.
        """
        files = [(file.name, file.size, file.etag, file.kind) for file in self.files]
        return PlannedCorpus(where=self.where, files=files)

    @staticmethod
    def of(document: PlannedCorpus) -> Corpus:
        """Return the corpus that a written plan holds.

        Args:
            document: what `document` returned.

        Returns:
            The corpus, without stamps.
        """
        return Corpus(document.where, [CorpusFile(*fields) for fields in document.files])

    def only(self, keep: Callable[[CorpusFile], bool]) -> Corpus:
        """Return the corpus of some of its files.

        Args:
            keep: True for a file that stays; asked once for each, in order.

        Returns:
            The same files, in the same order, with their stamps.
        """
        places = [place for place, file in enumerate(self.files) if keep(file)]
        stamps = tuple(self.stamps[place] for place in places) if self.stamps else ()
        return Corpus(self.where, [self.files[place] for place in places], stamps)

    def address(self, file: int) -> str:
        """Return the address of a file.

        Args:
            file: its number.

        Returns:
            A path or an s3:// address.
        """
        return f"{self.where}/{self.files[file].name}"

    @contextlib.contextmanager
    def open(self, file: int) -> Iterator[BinaryIO | io.BufferedReader]:
        """Open a file for reading.

        Args:
            file: its number.

        Yields:
            A seekable stream of bytes.

        Raises:
            InputError: it isn't the version that was planned for, now or after reading.
        """
        entry = self.files[file]
        if not in_bucket(self.where):
            with self._open_local(file) as local:
                yield local
            return
        from distillery.components.store.s3_objects import WINDOW

        address = Address.parse(self.address(file))
        objects = open_bucket(address)
        window = PARQUET_WINDOW if entry.kind == "parquet" else WINDOW
        try:
            with io.BufferedReader(objects.file(address.path, etag=entry.etag, window=window), 2**20) as remote:
                yield remote
        except NotFound:
            raise self._gone(file) from None

    def rows(self, piece: Piece, renamed: Renamed | None = None) -> Rows:
        """Return a reader of the rows of one piece.

        Args:
            piece: a range of bytes of one of the files.
            renamed: columns that are read under other names; None for none.

        Returns:
            The reader; it opens the file when it is iterated over.
        """
        file, start, end = piece
        entry = self.files[file]
        return Rows(
            lambda: self.open(file),
            entry.kind,
            entry.size,
            self.address(file),
            columns=COLUMNS,
            prefixes=("reference.",),
            renamed=renamed,
            start=start,
            end=end,
        )

    def _gone(self, file: int) -> InputError:
        return InputError("is there no more", where=self.address(file), hint="restore it, or score what is left")

    @contextlib.contextmanager
    def _open_local(self, file: int) -> Iterator[io.BufferedReader]:
        with contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context(Path(self.address(file)).open("rb"))
            except FileNotFoundError:
                raise self._gone(file) from None
            self._require_unchanged(file, stream)
            try:
                yield stream
            except Exception:  # torn lines and bad gzip may come of the change
                self._require_unchanged(file, stream)
                raise
            self._require_unchanged(file, stream)

    def _require_unchanged(self, file: int, stream: io.BufferedReader) -> None:
        if self.stamps and Stamp.of(os.fstat(stream.fileno())) != self.stamps[file]:
            hint = "score what is there now"
            raise InputError("was changed since it was planned", where=self.address(file), hint=hint)


def cut(corpus: Corpus, shards: int, index: int) -> list[Piece]:
    """Return what one part reads.

    Args:
        corpus: the corpus.
        shards: number of parts.
        index: number of the part, from 0.

    Returns:
        Pieces in the order of the files.
    """
    total, offset, pieces = corpus.size, 0, list[Piece]()
    low, high = index * total // shards, (index + 1) * total // shards
    for number, file in enumerate(corpus.files):
        start, end = max(low, offset) - offset, min(high, offset + file.size) - offset
        if start < end:
            pieces.append(Piece(number, start, end))
        offset += file.size
    return pieces


def cut_files(corpus: Corpus, part_bytes: int) -> list[Piece]:
    """Return what each part reads where no part has rows of two files.

    Args:
        corpus: the corpus.
        part_bytes: bytes of a file that make a part.

    Returns:
        A piece for each part, in the order of the files.
    """
    pieces = list[Piece]()
    for number, file in enumerate(corpus.files):
        count = max(1, -(-file.size // part_bytes))
        bounds = [place * file.size // count for place in range(count + 1)]
        pieces += [Piece(number, start, end) for start, end in pairwise(bounds)]
    return pieces


def find_corpus(uri: str, *, parameter: str = "ARTICLES") -> Corpus:
    """Find the files of a corpus: one file, or all files below a folder or prefix but those whose name begins with "_" or ".".

    Args:
        uri: a path, file:// or s3://.
        parameter: name of the parameter that gave the address, for the error.

    Returns:
        The corpus.

    Raises:
        InputError: nothing is there, or a file is no table of articles.
    """
    where = f"{parameter} {uri}"
    if scheme_of(uri) == SCHEME:
        uri = str(hub_path(uri, parameter=parameter))
    address = parse_address(uri, parameter=parameter)
    corpus = _remote(address, where) if address.in_bucket else _local(address.local, where)
    if not corpus.files:
        raise InputError("has no files", where=where, hint=f"give a file or a folder of files: {READ}")
    return corpus


def _local(local: Path, where: str) -> Corpus:
    if not local.exists():
        raise InputError("there is no such file", where=where, hint="check the path")
    folder = local if local.is_dir() else local.parent
    names = shard_names(file.relative_to(folder).as_posix() for file in sorted(local.rglob("*")) if file.is_file())
    files, stamps = list[CorpusFile](), list[Stamp]()
    for name in names if local.is_dir() else [local.name]:
        file = folder / name
        stamp = Stamp.of(file.stat())  # before the digest, so that no change between the two goes unseen
        if _size(stamp.size, where, single=not local.is_dir()):
            with file.open("rb") as stream:
                kind = file_kind(stream.read(HEAD), str(file))
            files.append(CorpusFile(name, stamp.size, digest_file(file), kind))
            stamps.append(stamp)
    return Corpus(str(folder), files, tuple(stamps))


def _remote(address: Address, where: str) -> Corpus:
    if not address.path.strip("/"):
        raise InputError("names no object", where=where, hint="write s3://bucket/path/file.jsonl, or a prefix in the bucket")
    objects = open_bucket(address)
    try:
        single = bool(address.name) and objects.exists(address.path)
        # Only the slash after the last name is no part of it: "in" and "in/" are one folder, "in//" is another.
        whole = str(address) if address.name else str(address)[:-1]
        folder = whole.rpartition("/")[0] if single else whole
        key = Address.parse(whole).path
        names = [address.name] if single else shard_names(name.removeprefix(f"{key}/") for name in objects.keys(key))

        def look(name: str) -> CorpusFile | None:
            file = Address.parse(f"{folder}/{name}")
            size, etag = objects.stat(file.path)
            if not _size(size, where, single=single):
                return None
            head = objects.file(file.path, etag=etag, window=HEAD).read(HEAD)
            return CorpusFile(name, size, etag, file_kind(head or b"", str(file)))

        with ThreadPoolExecutor(16) as pool:
            files = [file for file in pool.map(look, names) if file]
    except NotFound:
        raise InputError("is there no more", where=where) from None
    except StoreError as error:
        raise InputError(error.what, where=where, hint=error.hint) from error.__cause__
    if not single and not names:
        raise InputError("no such object, and no objects below it", where=where, hint="check bucket and key")
    return Corpus(folder, files)


def _size(size: int, where: str, *, single: bool) -> int:
    """Return the size of a file; refuse an empty file that is the whole corpus."""
    if single and not size:
        raise InputError("is empty", where=where, hint="give a file with one article a line")
    return size
