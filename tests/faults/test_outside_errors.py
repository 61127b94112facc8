"""What the system and libraries raise is told as our own errors are; a defect of this program keeps its traceback."""

from __future__ import annotations

import errno
import os
import sqlite3
import zipfile

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from safetensors import SafetensorError

from distillery.components.runtime.outside_errors import told
from distillery.components.runtime.step import EXIT_CODES, cause_of
from distillery.components.store import Conflict, NotFound
from distillery.filters.errors import InputError, Rejected, Stopped, Waiting


def disk(number: int, path: str | None = "/data/x") -> OSError:
    return OSError(number, os.strerror(number), *([path] if path else []))


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (disk(errno.ENOSPC), 2, "/data/x: No space left on device; free some space, or choose another place"),
        (disk(errno.ENOSPC, None), 2, "No space left on device; free some space"),
        (disk(errno.EIO), 2, "/data/x: Input/output error; check the disk, then run again"),
        (disk(errno.EROFS), 2, "Read-only file system; choose another place"),
        (disk(errno.EISDIR), 2, "Is a directory; a file belongs there: move the folder away"),
        (disk(errno.ENOTDIR), 2, "Not a directory; a folder belongs there"),
        (disk(errno.EMFILE), 2, "Too many open files; raise the limit of open files (ulimit -n)"),
        (disk(errno.ENOTEMPTY), 2, "check the place, then run again"),
        (NotFound("verdicts/x.json"), 2, "verdicts/x.json: is not in the store; restore it from a copy"),
        (Conflict("steps/x.json changed 20 times"), 1, "steps/x.json changed 20 times; run again"),
        (MemoryError(), 1, "out of memory; close other programs"),
        (EndpointConnectionError(endpoint_url="http://key:secret@host"), 1, "can't be reached (EndpointConnectionError)"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 1, "can't be reached (ConnectionResetError)"),
        (SafetensorError("header too large"), 1, "safetensors"),
        (pa.ArrowInvalid("Not a Parquet file\nsecond line"), 1, "pyarrow: ArrowInvalid: Not a Parquet file; run again"),
        (zipfile.BadZipFile("no zip"), 1, "zipfile: BadZipFile: no zip"),
        (sqlite3.DatabaseError("malformed"), 1, "sqlite3: DatabaseError: malformed"),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject"), 1, "botocore: ClientError"),
    ],
)
def test_one_line_and_an_exit_code(error: Exception, code: int, says: str) -> None:
    shown = told(error)
    assert shown is not None
    assert says in str(shown)
    assert "secret" not in str(shown)
    assert "\n" not in str(shown)
    assert EXIT_CODES[cause_of(shown)] == code


@pytest.mark.parametrize("error", [InputError("x"), Waiting("x"), Rejected("x"), Stopped("x", hint="y")])
def test_our_own_errors_stay_as_they_are(error: Exception) -> None:
    assert told(error) is error


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), AssertionError(), OSError("no number")])
def test_a_defect_is_no_line(error: Exception) -> None:
    assert told(error) is None
