"""A disk that fails: the Nth call of one kind, below one folder, raises; as SQLite's ioerr.test does, until a run succeeds.

Python's audit hook sees opening, making, renaming and deleting, also where C code asks Python to do it. A wrapper around the
files that Python opens to write sees writes, and one around os.fsync syncs. What libraries write by themselves (Arrow, SQLite)
fails by a limit that the kernel or SQLite puts on the size of a file: see test_full_tmpdir.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

CALLS = ("open", "write", "fsync", "rename", "unlink", "mkdir")
ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EACCES", "EROFS")}
_AUDITED = {"open": "open", "os.rename": "rename", "os.remove": "unlink", "os.mkdir": "mkdir"}
_disks: list[Disk] = []  # an audit hook can't be removed, so it asks who listens


class Disk:
    """The calls below `root`, counted by kind; the `at`-th of `kind` raises `error`.

    Attributes:
        seen: calls so far, by kind.
        failed: True once one was made to fail.
    """

    def __init__(self, root: Path, kind: str = "", at: int = 0, error: int = errno.EIO) -> None:
        self.root, self.kind, self.at, self.error = str(root), kind, at, error
        self.seen: Counter[str] = Counter()
        self.failed = False

    def call(self, kind: str, path: object) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self.root):
            return
        self.seen[kind] += 1
        if kind == self.kind and self.seen[kind] == self.at:
            self.failed = True
            named = None if kind in ("write", "fsync") else str(path)  # the kernel's errors of these name no file
            raise OSError(self.error, os.strerror(self.error), *([named] if named else []))


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _disks and event in _AUDITED:
        for disk in list(_disks):
            disk.call(_AUDITED[event], _path(event, arguments))


def _path(event: str, arguments: tuple[Any, ...]) -> object:
    """Return the path that a call names; shutil.rmtree deletes by a name in an open folder."""
    path, within = arguments[0], arguments[1] if event == "os.remove" else -1
    return os.path.join(os.readlink(f"/proc/self/fd/{within}"), path) if within >= 0 else path


sys.addaudithook(_hook)


class _Written:
    """A file that is open to write, whose writes are counted."""

    def __init__(self, file: Any, disk: Disk, path: object) -> None:
        self._file, self._disk, self._path = file, disk, path

    def write(self, data: Any) -> int:
        self._disk.call("write", self._path)
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)


@contextlib.contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Let the calls of this process below the disk's root be counted, and one of them fail."""
    real_open, real_fsync = io.open, os.fsync

    def opened(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        stream = real_open(file, mode, *rest, **named)
        writes = any(letter in mode for letter in "wax+") and isinstance(file, str | os.PathLike)
        return _Written(stream, disk, file) if writes and os.fspath(file).startswith(disk.root) else stream

    def synced(descriptor: int) -> None:
        disk.call("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        real_fsync(descriptor)

    with (
        mock.patch.object(io, "open", opened),
        mock.patch.object(builtins, "open", opened),
        mock.patch.object(os, "fsync", synced),
    ):
        _disks.append(disk)
        try:
            yield disk
        finally:
            _disks.remove(disk)
