"""What the system and libraries raise, told as our own errors are: one line, no traceback.

Readers that know what they read say more: this is the last place, for what none of them caught.
"""

from __future__ import annotations

from typing import Final

from distillery.components.remote.retry import describe, is_outage
from distillery.components.runtime.extras import missing_package
from distillery.components.store import Conflict, NotFound, StoreError
from distillery.filters.errors import InputError, Stopped, disk_hint

# Packages whose readers and writers raise errors of their own. What they say names no file, so the line says what to look at.
LIBRARIES: Final = (
    *(
        "pyarrow",
        "safetensors",
        "safetensors_rust",
        "tokenizers",
        "zipfile",
        "tarfile",
        "zlib",
        "lzma",
        "gzip",
        "sqlite3",
        "openpyxl",
    ),
    *("boto3", "botocore", "s3transfer", "urllib3"),
)
MISSING: Final = "restore it from a copy, or run `distillery distill` again: what is missing is made anew"
AGAIN: Final = "run again; if it stays, a file of the run is damaged, or the disk is"


def told(error: BaseException) -> InputError | Stopped | None:
    """Return the error to show for what was raised.

    Args:
        error: what was raised.

    Returns:
        The error itself where it is one of ours; one of ours in its place where the system, the store or a library raised it;
        None for a defect of this program, whose traceback is worth more than a line.
    """
    if isinstance(error, InputError | Stopped):
        return error
    if missing := missing_package(error):
        return missing
    return _caused(error, _told(error))


def _told(error: BaseException) -> InputError | Stopped | None:
    if isinstance(error, Conflict):
        return Stopped(str(error), hint="run again: what is done is reused")
    if isinstance(error, NotFound):
        return StoreError("is not in the store", where=str(error.args[0]), hint=MISSING)
    if isinstance(error, MemoryError):
        return Stopped("out of memory", hint="close other programs, or take a larger machine; then run again")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError | TimeoutError):
        where = error.filename if isinstance(error.filename, str) else ""
        return InputError(error.strerror or str(error), where=where, hint=disk_hint(error))
    if is_outage(error):
        return InputError(describe(error), hint="check the network and the address, then run again")
    if (library := type(error).__module__.partition(".")[0]) in LIBRARIES:
        said = (str(error).splitlines() or [""])[0][:200]
        return Stopped(f"{library}: {type(error).__name__}: {said}", hint=AGAIN)
    return None


def _caused(error: BaseException, shown: InputError | Stopped | None) -> InputError | Stopped | None:
    if shown is not None:
        shown.__cause__ = error
    return shown
