"""What a backend of the store does, and the errors that all backends share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from distillery.components.store.digests import Json
from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_SEGMENT = r"[A-Za-z0-9_@=-][A-Za-z0-9._@=-]*"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


class NotFound(KeyError):
    """No object has this key."""

    def __str__(self) -> str:
        return f"{self.args[0]} is not in the store"


class Conflict(RuntimeError):
    """A conditional put lost: another writer changed the object meanwhile; nothing of ours was written."""


class StoreError(InputError):
    """The store can't be read or written, or holds bytes other than those asked for."""


def check_key(key: str) -> str:
    """`key` itself; InputError if it could climb out of the store or isn't portable between file systems and S3."""
    if len(key) > 900 or not _KEY.fullmatch(key):
        raise InputError(
            f"{key[:120]!r} can't be a name in the store",
            hint="use letters, digits and . _ @ = -, no leading dot or slash, no '..'",
        )
    return key


def parse_json(data: bytes, where: str) -> Json:
    """JSON in UTF-8; NaN, infinities and nesting too deep are refused with StoreError."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"is not JSON: {str(error)[:200]}", where=where) from error


class Objects(Protocol):
    """What a backend does; keys are checked by `Store`. `FileObjects` and `S3Objects` behave alike, down to errors."""

    uri: str

    def open(self, key: str) -> AbstractContextManager[BinaryIO]: ...
    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]: ...
    def exists(self, key: str) -> bool: ...
    def etag(self, key: str) -> str | None: ...
    def put(self, key: str, data: bytes | Path) -> None: ...
    def put_if(self, key: str, data: bytes, etag: str | None) -> None: ...
    def keys(self, prefix: str) -> Iterator[str]: ...
