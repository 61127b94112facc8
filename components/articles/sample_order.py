"""The order in which samples draw: it depends on seed and content alone, so any file of the same articles gives the same."""

from __future__ import annotations

import hashlib


def order_key(seed: str, digest: str) -> bytes:
    """Return the place of an article in the order of a seed.

    Args:
        seed: any text; another one gives another order.
        digest: the article's digest.

    Returns:
        32 bytes to sort by; the least comes first.
    """
    return hashlib.sha256(f"{seed}:{digest}".encode()).digest()
