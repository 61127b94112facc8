"""Folders for the time of a run, which are gone at its end, however it ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillery.filters.errors import FULL, InputError

HINT = "free some space, or set TMPDIR to a folder that has some"


@contextmanager
def scratch_folder(prefix: str, *, within: Path | None = None) -> Iterator[Path]:
    """Yield a new folder among the temporary files, and delete it at the end.

    Args:
        prefix: what its name begins with.
        within: folder to make it in; None for the one of temporary files, TMPDIR.

    Yields:
        The folder.

    Raises:
        InputError: there is no room, or no folder for temporary files that can be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_folder(error, within) from error
    try:
        with folder as path, room_in(Path(path), within):
            yield Path(path)
    finally:
        delete_folder(Path(folder.name))


def lasting_folder(prefix: str) -> Path:
    """Make a folder among the temporary files, for a caller that deletes it, or keeps a part of it.

    Args:
        prefix: what its name begins with.

    Returns:
        The folder.

    Raises:
        InputError: there is no folder for temporary files that can be written.
    """
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise _no_folder(error, None) from error


def delete_folder(folder: Path) -> None:
    """Delete a folder of temporary files; where a call fails on the way, all is tried once more.

    Args:
        folder: the folder; it may be gone.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def room_in(folder: Path, within: Path | None = None) -> Iterator[None]:
    """Tell as such where a temporary file finds no room.

    An error that names no file is taken for one of a temporary file: the store and the outputs of commands name theirs.

    Args:
        folder: where the block writes its temporary files.
        within: the folder that it was made in; None for TMPDIR.

    Yields:
        Nothing.

    Raises:
        InputError: there was no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL or not (error.filename is None or str(error.filename).startswith(str(folder))):
            raise
        what = f"no room for temporary files: {error.strerror}"
        raise InputError(what, where=_place(within), hint=HINT) from error


def _no_folder(error: OSError, within: Path | None) -> InputError:
    return InputError(f"no temporary folder can be made: {error.strerror or error}", where=_place(within), hint=HINT)


def _place(within: Path | None) -> str:
    return str(within) if within else "TMPDIR"
