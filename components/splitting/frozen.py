"""The frozen test parts of a filter: lists of article digests that new labels never change.

There is one document for each filter and split policy, changed by conditional put only. Labels that contain a whole list are
split with that list as their test part. Labels that contain most of it are refused, since figures on a test part that shrinks
silently can't be compared with earlier ones.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from distillery.components.store import Digest, Json, Store, StoreError, canonical_json, digest_json
from distillery.components.store.layout import frozen_key
from distillery.filters.errors import InputError
from distillery.filters.filter import Filter
from distillery.filters.strict_json import loads

RECOGNISED = 0.5  # the share of its articles that must be present for labels to be meant for this test part
RESTORE = "restore it from a copy"
MAX_DOCUMENT = 256 * 2**20


@dataclass(frozen=True)
class Lineage:
    """One frozen test part: its article digests, sorted, and the digest of this list."""

    test: list[str]
    digest: Digest


@dataclass(frozen=True)
class Frozen:
    """The document as it was read; the etag is None where there is none yet."""

    lineages: list[Lineage]
    etag: str | None


def _key(flt: Filter) -> str:
    return frozen_key(flt.name, digest_json(flt.spec.split.model_dump()))


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
    key = _key(flt)
    if (current := store.current(key, max_bytes=MAX_DOCUMENT)) is None:
        return Frozen([], None)
    data, etag = current
    try:
        entries: list[dict[str, Json]] = loads(data, constants=False)["lineages"]
        lineages = [Lineage(list(entry["test"]), Digest(entry["digest"])) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"is not a list of frozen test parts: {error}", where=key, hint=RESTORE) from error
    for lineage in lineages:
        if not lineage.test or digest_json(lineage.test) != lineage.digest:
            raise StoreError("its test part is other than the frozen one", where=key, hint=RESTORE)
    return Frozen(lineages, etag)


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
    articles = sorted(test)
    lineage = Lineage(articles, digest_json(articles))
    document = {"format": 1, "lineages": [{"test": each.test, "digest": each.digest} for each in (*frozen.lineages, lineage)]}
    store.put_if(_key(flt), canonical_json(document), etag=frozen.etag)
    return lineage
