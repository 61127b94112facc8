"""Files that a user names, such as a report: each appears whole, or what was there before stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that replaces `path` at the end of the context.

    What is no file, such as /dev/stdout, is written as it is; of a link, the file that it leads to is replaced.

    Args:
        path: the file; its folder must exist.

    Yields:
        The open file.

    Raises:
        OSError: it can't be written; what was there before is there still.
    """
    path = Path(os.path.realpath(path))
    special = path.exists() and not path.is_file()
    part = path if special else path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        with part.open("wb") as file:
            yield file
        if not special:
            part.replace(path)
    except BaseException as error:
        if not special:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from error  # the name that a user knows
        raise


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file that a user named: it appears whole, or what was there before stays.

    Args:
        path: the file; its folder must exist.
        data: its content; text is written as UTF-8.

    Raises:
        OSError: it can't be written.
    """
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)
