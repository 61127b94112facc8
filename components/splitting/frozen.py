"""The frozen test parts of a filter: lists of article digests that new labels never change.

There is one document for each filter and split policy, changed by conditional put only. Labels that contain a whole list are
split with that list as their test part. Labels that contain most of it are refused, since figures on a test part that shrinks
silently can't be compared with earlier ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from distillery.components.artifacts.frozen_tests import FrozenTests, Lineage, read_frozen_tests
from distillery.components.store import Digest, Store, StoreError, canonical_json, digest_json
from distillery.components.store.layout import frozen_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter

RECOGNISED = 0.5  # the share of its articles that must be present for labels to be meant for this test part


@dataclass(frozen=True)
class Frozen:
    """The document as it was read; the etag is None where there is none yet."""

    lineages: list[Lineage]
    etag: str | None


def _policy(flt: Filter) -> Digest:
    return digest_json(flt.spec.split.model_dump())


def read_frozen(store: Store, flt: Filter) -> Frozen:
    """Read the filter's frozen test parts under its split policy.

    Args:
        store: the store.
        flt: the filter.

    Returns:
        The test parts, oldest first, and the document's etag.

    Raises:
        StoreError: the document was altered.
    """
    present = read_frozen_tests(store, flt.name, _policy(flt))
    if present is None:
        return Frozen([], None)
    for lineage in present[0].lineages:
        if not lineage.test or digest_json(lineage.test) != lineage.digest:
            where = f"{store.uri}/{frozen_key(flt.name, _policy(flt))}"
            raise StoreError("its test part is other than the frozen one", where=where, hint=FrozenTests.HINT)
    return Frozen(present[0].lineages, present[1])


def applicable(frozen: Frozen, articles: Collection[str], seed: int) -> Lineage | None:
    """Find the frozen test part that these labels are to be split with.

    Args:
        frozen: the frozen test parts.
        articles: digests of the labeled articles.
        seed: the policy's seed, for the hint.

    Returns:
        The oldest test part that the labels contain whole; None where a new one begins.

    Raises:
        InputError: the labels contain most of a test part, but not all of it.
    """
    present = set(articles)
    missing = [[article for article in lineage.test if article not in present] for lineage in frozen.lineages]
    for lineage, absent in zip(frozen.lineages, missing, strict=True):
        if not absent:
            return lineage
    for lineage, absent in zip(frozen.lineages, missing, strict=True):
        if len(absent) <= (1 - RECOGNISED) * len(lineage.test):
            raise InputError(
                f"these labels lack {len(absent)} of the {len(lineage.test)} articles of the frozen test part"
                f" (first {absent[0][:12]}…)",
                hint=f"add them, or begin a new test part with {{overrides}} split.seed={seed + 1}",
            )
    return None


def freeze(store: Store, flt: Filter, frozen: Frozen, test: Collection[str]) -> Lineage:
    """Add a test part to the document.

    Args:
        store: the store.
        flt: the filter.
        frozen: the document as it was read.
        test: digests of the test articles.

    Returns:
        The new test part.

    Raises:
        Conflict: another process changed the document meanwhile.
    """
    articles = [Digest(article) for article in sorted(test)]
    lineage = Lineage(test=articles, digest=digest_json(articles))
    document = FrozenTests(lineages=[*frozen.lineages, lineage])
    store.put_if(frozen_key(flt.name, _policy(flt)), canonical_json(document.to_json()), etag=frozen.etag)
    return lineage
