"""A run's filter as it was resolved, kept in the store under its own digest."""

from __future__ import annotations

from distillery.components.store import NotFound, Store, StoreError, digest_bytes
from distillery.components.store.layout import published_filter_key
from distillery.filters.filter import Filter
from distillery.filters.loading import dump_filter, load_filter_text


def publish_filter(store: Store, flt: Filter) -> str:
    """Write the resolved filter under its own digest.

    Args:
        store: where it goes.
        flt: the filter.

    Returns:
        The key by which every step of the run reads it.
    """
    key, data = _published(flt)
    store.put(key, data)
    return key


def filter_key(flt: Filter) -> str:
    """Return the key that a resolved filter is published under.

    Args:
        flt: the filter.

    Returns:
        The key, whether it is published or not.
    """
    return _published(flt)[0]


def is_published(store: Store, flt: Filter) -> bool:
    """True if the resolved filter lies in the store, whole.

    Args:
        store: where it would be; it is only read.
        flt: the filter.

    Returns:
        Whether `publish_filter` would change nothing.
    """
    key, data = _published(flt)
    try:
        return store.get(key, max_bytes=len(data)) == data
    except (NotFound, StoreError):
        return False


def _published(flt: Filter) -> tuple[str, bytes]:
    data = dump_filter(flt).encode()
    return published_filter_key(flt.name, flt.spec.version, digest_bytes(data)), data


def read_filter(store: Store, key: str) -> Filter:
    """Return a published filter, verified against the digest in its key.

    Args:
        store: where it is.
        key: its key, as `publish_filter` returned it.

    Returns:
        The filter.

    Raises:
        NotFound: there is no such filter.
        StoreError: its bytes were altered.
        InputError: it is not a filter that this program can read.
    """
    digest = key.rsplit("/", 1)[-1].removesuffix(".yaml")
    return load_filter_text(store.get(key, digest=digest, max_bytes=1 << 20).decode(), where=key)  # type: ignore[arg-type]
