"""Digests: sha256 as a type of its own, and one canonical JSON, so that equal documents have equal digests.

Hashing runs at about 1 GB/s; a typed digest costs nothing and keeps keys, names and digests from being mixed.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NewType, TypeAlias

from distillery.filters.errors import InputError

Digest = NewType("Digest", str)
Json: TypeAlias = Any  # what json.loads returns; a recursive type would need a cast at every read
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_bytes(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def canonical_json(value: Json) -> bytes:
    """UTF-8, sorted keys, no spaces; NaN and infinities raise ValueError. 1 and 1.0 stay different."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_json(value: Json) -> Digest:
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> Digest:
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())


def as_digest(text: str, where: str = "") -> Digest:
    """`text` as a Digest; InputError unless it is 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(text):
        raise InputError(f"{text[:80]!r} is not a sha256 digest", where=where, hint="give its 64 hexadecimal digits")
    return Digest(text)
