"""An order of articles that depends on seed and content alone, so that who draws from it gets the same whatever the file."""

from __future__ import annotations

import hashlib


def priority(seed: str, digest: str) -> bytes:
    """Where an article stands in the order of this seed: 32 bytes, least first."""
    return hashlib.sha256(f"{seed}:{digest}".encode()).digest()
