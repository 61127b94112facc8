"""Folders for the time of a run, which are gone at its end, however it ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distillery.filters.errors import InputError


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield a new folder among the temporary files, and delete it at the end.

    Args:
        prefix: what its name begins with.

    Yields:
        The folder.

    Raises:
        InputError: there is no room, or no folder for temporary files that can be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        what = f"no temporary folder can be made: {error.strerror or error}"
        raise InputError(what, where="TMPDIR", hint="free some space, or set TMPDIR to a folder that has some") from error
    with folder as path:
        yield Path(path)
