"""Objects in a folder: each write is a temporary file beside its target, synced, then renamed.

A kill at any instant leaves the old object or the new one. Conditional puts compare and rename under flock, which the
kernel releases when its holder dies; two fsyncs per write (some ms) are the price for surviving a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from typing_extensions import override

from distillery.components.store.objects import Conflict, NotFound, Objects, StoreError

if TYPE_CHECKING:
    from io import BufferedReader

_TEMPORARY = ".tmp-"
_LOCKS = ".locks"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class FileObjects(Objects):
    """A backend of `Store` in a folder; its methods are those of `Objects`.

    Args:
        root: the folder.
        write: True to make it and to try at once whether it can be written.
    """

    def __init__(self, root: Path, *, write: bool) -> None:
        self._root = root.absolute()
        self.uri = f"file://{self._root}"
        if write:
            with self._explained(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
                probe = self._root / f"{_TEMPORARY}{uuid.uuid4().hex}"
                probe.touch()
                probe.unlink()

    def _path(self, key: str) -> Path:
        return self._root / key

    @override
    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        try:
            stream = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound(key) from error
        except OSError as error:
            raise StoreError(f"can't be read: {error.strerror}", where=str(path)) from error
        with stream:
            yield stream

    @override
    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]:
        with self.open(key) as stream:
            data = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
        if max_bytes is not None and len(data) > max_bytes:
            raise StoreError(f"is larger than the {max_bytes:,} bytes expected", where=str(self._path(key)))
        return data, hashlib.sha256(data).hexdigest()

    @override
    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    @override
    def etag(self, key: str) -> str | None:
        try:
            with self.open(key) as stream:
                return hashlib.file_digest(cast("BufferedReader", stream), "sha256").hexdigest()
        except NotFound:
            return None

    @override
    def put(self, key: str, data: bytes | Path) -> None:
        target = self._path(key)
        with self._explained(target), self._temporary(target, data) as temporary:
            _rename(temporary, target)

    @override
    def put_if(self, key: str, data: bytes, etag: str | None) -> None:
        target = self._path(key)
        with self._explained(target), self._temporary(target, data) as temporary, self._lock(key):
            found = self.etag(key)
            if found == hashlib.sha256(data).hexdigest():
                return
            if found != etag:
                raise Conflict(f"{key} was changed by another process")
            _rename(temporary, target)

    @override
    def keys(self, prefix: str) -> Iterator[str]:
        found: list[str] = []
        for folder, folders, names in os.walk(self._path(prefix) if prefix else self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = Path(folder).relative_to(self._root)
            found += [(base / name).as_posix() for name in names if not name.startswith(".")]
        yield from sorted(found)

    @contextlib.contextmanager
    def _temporary(self, target: Path, data: bytes | Path) -> Iterator[Path]:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as out:
                if isinstance(data, Path):
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, out, 2**20)
                else:
                    out.write(data)
                out.flush()
                os.fsync(out.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        locks = self._root / _LOCKS
        locks.mkdir(exist_ok=True)
        with (locks / hashlib.sha256(key.encode()).hexdigest()).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StoreError(
                    "the disk is full; nothing was written",
                    where=str(path),
                    hint="free some space, or choose another place with --store",
                ) from error
            if error.errno in _REFUSED:
                raise StoreError(
                    f"can't be written: {error.strerror}", where=str(path), hint="choose another place with --store"
                ) from error
            raise StoreError(
                f"can't be written: {error.strerror or error}", where=str(path), hint="check the store's address"
            ) from error


def _rename(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
