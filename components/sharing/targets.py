"""Files and folders that a user names for what leaves the store: each appears whole, and nothing there is lost unasked.

The same content again changes nothing, so that every command may be repeated.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from distillery.components.articles.scratch import scratch_folder
from distillery.filters.errors import InputError

REPLACE: Final = "name another place, or give --replace"


def local_path(out: str) -> Path:
    """Return the place on this machine that a user named with --out.

    Args:
        out: as typed.

    Returns:
        The path, with ~ resolved.

    Raises:
        InputError: it is empty, or an address of another machine.
    """
    if not out or "://" in out:
        what = "is no place on this machine" if out else "is empty"
        raise InputError(what, where=f"--out {out[:80]}".rstrip(), hint="name a file or a folder")
    return Path(out).expanduser()


@contextmanager
def new_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """Open a file to write that appears at `path` at the end of the context.

    Args:
        path: the file; folders above it are made.
        replace: True if another content there may be lost.

    Yields:
        The open file.

    Raises:
        InputError: there is a folder, or a file of another content that must not be lost.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise InputError("is a folder", where=str(path), hint="name a file")
    if path.exists() and not path.is_file():  # such as /dev/stdout
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        with part.open("wb") as file:
            yield file
        if path.exists() and not replace and not filecmp.cmp(part, path, shallow=False):
            raise InputError("is there already, with another content", where=str(path), hint=REPLACE)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, replace: bool = False, ours: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Give an empty folder that takes the place of `path` at the end of the context.

    A folder that is there is replaced only where it holds nothing that such a folder would not: what a person keeps beside our
    files is never removed.

    Args:
        path: the folder; those above it are made.
        replace: True if another content there may be lost.
        ours: names in such a folder that this one may lack.

    Yields:
        The folder to fill.

    Raises:
        InputError: there is a file, or a folder whose content must not be lost.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_dir():
        raise InputError("is a file", where=str(path), hint="name a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{path.name}.part-", within=path.parent) as scratch:
        new = scratch / "new"
        new.mkdir()
        yield new
        if path.is_dir() and any(path.iterdir()):
            if _same(new, path):
                return
            names = {each.name for each in new.iterdir()} | ours
            if others := sorted(each.name for each in path.iterdir() if each.name not in names):
                what = f"holds {others[0]!r}, which is none of ours"
                raise InputError(what, where=str(path), hint="name a folder that is not there yet")
            if not replace:
                raise InputError("is there already, with another content", where=str(path), hint=REPLACE)
            path.rename(scratch / "old")
        elif path.is_dir():
            path.rmdir()
        new.rename(path)


def copied(files: dict[str, bytes | Path], to: Path) -> None:
    """Write files into a folder.

    Args:
        files: bytes, or a file to copy, by path below the folder.
        to: the folder.
    """
    for name, data in files.items():
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            target.write_bytes(data)
        else:
            shutil.copyfile(data, target)


def _same(one: Path, other: Path) -> bool:
    files = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()) for folder in (one, other)
    ]
    return files[0] == files[1] and not any(filecmp.cmpfiles(one, other, files[0], shallow=False)[1:])
