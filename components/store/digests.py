"""Digests: sha256 as a type of its own, and one canonical JSON, so that equal documents have equal digests.

Hashing runs at about 1 GB/s; a typed digest costs nothing and keeps keys, names and digests from being mixed.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, BinaryIO, NewType, TypeAlias

from distillery.filters.errors import InputError

Digest = NewType("Digest", str)
Json: TypeAlias = Any  # what a parser returns; a recursive type would need a cast at every read
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_bytes(data: bytes) -> Digest:
    """Return the sha256 of bytes.

    Args:
        data: the bytes.

    Returns:
        The digest.
    """
    return Digest(hashlib.sha256(data).hexdigest())


def canonical_json(value: Json) -> bytes:
    """Return the one way to write a JSON value: UTF-8, keys sorted, no spaces. 1 and 1.0 stay different.

    Args:
        value: of dicts with text keys, lists, texts, numbers, True, False and None.

    Returns:
        The bytes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_json(value: Json) -> Digest:
    """Return the sha256 of a JSON value's canonical bytes.

    Args:
        value: as `canonical_json` takes it.

    Returns:
        The digest.
    """
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> Digest:
    """Return the sha256 of a file's bytes, read in pieces.

    Args:
        path: of the file.

    Returns:
        The digest.
    """
    with path.open("rb") as stream:
        return digest_stream(stream)


def digest_stream(stream: BinaryIO) -> Digest:
    """Return the sha256 of what a stream still holds, read in pieces.

    Args:
        stream: open for reading.

    Returns:
        The digest.
    """
    return Digest(hashlib.file_digest(stream, "sha256").hexdigest())  # type: ignore[arg-type]


def as_digest(text: str, where: str = "") -> Digest:
    """Return a text as a Digest.

    Args:
        text: what should be 64 lower-case hexadecimal digits.
        where: what the error names, such as the option it came from.

    Returns:
        The text itself.

    Raises:
        InputError: it is something else.
    """
    if not _DIGEST.fullmatch(text):
        raise InputError(f"{text[:80]!r} is not a sha256 digest", where=where, hint="give its 64 hexadecimal digits")
    return Digest(text)
