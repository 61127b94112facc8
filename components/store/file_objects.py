"""Objects in a folder: each write is a temporary file beside its target, synced, then renamed.

A kill at any instant leaves the old object or the new one. Conditional puts compare and rename under flock, which the
kernel releases when its holder dies; two fsyncs per write (some ms) are the price for surviving a power cut.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from typing_extensions import override

from distillery.components.store.address import Address
from distillery.components.store.digests import digest_bytes, digest_stream
from distillery.components.store.objects import Conflict, Entry, NotFound, Objects, TooLarge, unreadable, unwritable

_TEMPORARY = ".tmp-"
_LOCKS = ".locks"


class FileObjects(Objects):
    """A backend of `Store` in a folder; its methods are those of `Objects`.

    Args:
        root: the folder.
        write: True to make it and to try at once whether it can be written.
    """

    def __init__(self, root: Path, *, write: bool) -> None:
        self._root = root.absolute()
        self.uri = str(Address("file", "", str(self._root)))
        if write:
            with self._explained(self._root):
                self._root.mkdir(parents=True, exist_ok=True)
                probe = self._root / f"{_TEMPORARY}{uuid.uuid4().hex}"
                probe.touch()
                probe.unlink()

    def _path(self, key: str) -> Path:
        return self._root / key

    @override
    def below(self, folder: str) -> FileObjects:
        return FileObjects(self._path(folder), write=False)

    @override
    @contextlib.contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        path = self._path(key)
        try:
            stream = io.BufferedReader(_Reading(path), 2**20)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(key) from error
        except OSError as error:
            raise unreadable(error, path) from error
        with stream:
            yield cast("BinaryIO", stream)

    @override
    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]:
        with self.open(key) as stream:
            data = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
        if max_bytes is not None and len(data) > max_bytes:
            raise TooLarge(max_bytes, str(self._path(key)))
        return data, digest_bytes(data)

    @override
    def exists(self, key: str) -> bool:
        path = self._path(key)
        try:
            return path.is_file()
        except OSError as error:
            raise unreadable(error, path) from error

    @override
    def etag(self, key: str) -> str | None:
        try:
            with self.open(key) as stream:
                return digest_stream(stream)
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
            if found == digest_bytes(data):
                return
            if found != etag:
                raise Conflict(f"{key} was changed by another process")
            _rename(temporary, target)

    @override
    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._explained(path):
            path.unlink(missing_ok=True)
            folder = path.parent
            while self._root not in (folder, folder.parent):  # a folder of a bucket is gone with its last object, too
                try:
                    folder.rmdir()
                except OSError:
                    break
                folder = folder.parent

    @override
    def entries(self, prefix: str) -> Iterator[Entry]:
        found: list[str] = []

        def refuse(error: OSError) -> None:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise unreadable(error, Path(error.filename or self._root)) from error

        for folder, folders, names in os.walk(self._path(prefix) if prefix else self._root, onerror=refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = Path(folder).relative_to(self._root)
            found += [(base / name).as_posix() for name in names if not name.startswith(".")]
        for key in sorted(found):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                stat = (self._root / key).stat()
                yield Entry(key, stat.st_size, stat.st_mtime)

    @override
    def folders(self, prefix: str) -> Iterator[str]:
        path = self._path(prefix)
        try:
            found = [entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise unreadable(error, path) from error
        yield from sorted(found)

    @contextlib.contextmanager
    def _temporary(self, target: Path, data: bytes | Path) -> Iterator[Path]:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as out:
                if isinstance(data, Path):
                    with io.BufferedReader(_Reading(data), 2**20) as source:
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
        with (locks / digest_bytes(key.encode())).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(error, path) from error


class _Reading(io.FileIO):
    """A file whose reads raise StoreError where the disk fails, so that no caller takes that for a fault of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._where = path

    @override
    def readinto(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise unreadable(error, self._where) from error

    @override
    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as error:
            raise unreadable(error, self._where) from error


def _rename(temporary: Path, target: Path) -> None:
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
