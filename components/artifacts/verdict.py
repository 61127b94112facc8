"""Where verdicts lie, and how they are read: always against their digest."""

from __future__ import annotations

from typing import Any

from distillery.components.store import NotFound, Store, as_digest
from distillery.components.store.layout import verdict_key
from distillery.filters.errors import InputError

AGAIN = "run again: what hasn't changed is reused"


def read_verdict(store: Store, name: str, digest: str) -> dict[str, Any]:
    """The verdict document, verified against its digest; InputError where there is none."""
    try:
        document: dict[str, Any] = store.get_json(verdict_key(name, digest), digest=as_digest(digest))
    except NotFound as error:
        raise InputError(f"there is no verdict {digest[:12]}… for {name}", where=store.uri, hint=AGAIN) from error
    return document
