"""The frozen test parts of a filter under one split policy: lists of article digests that new labels never change."""

from __future__ import annotations

from typing import Literal

from distillery.components.artifacts.document import CheckedDigest, Document
from distillery.components.store import Store
from distillery.components.store.layout import frozen_key

MAX_FROZEN = 256 * 2**20


class Lineage(Document):
    """One frozen test part.

    Attributes:
        test: digests of its articles, sorted.
        digest: of this list.
    """

    test: list[CheckedDigest]
    digest: CheckedDigest


class FrozenTests(Document):
    """The document, changed by conditional put only.

    Attributes:
        lineages: the test parts, oldest first.
    """

    KIND = "a list of frozen test parts"
    HINT = "restore it from a copy, or delete it and split again: errors from before and after can't be compared then"

    format: Literal[1] = 1
    lineages: list[Lineage]


def read_frozen_tests(store: Store, name: str, policy: str) -> tuple[FrozenTests, str] | None:
    """Return a filter's frozen test parts.

    Args:
        store: where they are.
        name: of the filter.
        policy: digest of the split policy.

    Returns:
        The document, with what `Store.put_if` compares; None where there is none yet.

    Raises:
        StoreError: the document cannot be read, or was altered.
    """
    return FrozenTests.versioned(store, frozen_key(name, policy), max_bytes=MAX_FROZEN)
