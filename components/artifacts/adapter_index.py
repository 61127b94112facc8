"""Lists of adapters by the first digits of their digests, which is how people name them."""

from __future__ import annotations

from typing import Final, Literal

from distillery.components.artifacts.document import MAX_DOCUMENT, Document, Sha256, or_none
from distillery.components.store import Store
from distillery.components.store.layout import adapters_beginning_key

BEGINNING: Final = 8  # digits of a digest that name an adapter


class Beginning(Document):
    """The adapters whose digests begin alike: whoever has the first digits finds them by a key.

    A list that cannot be read counts as empty and is written anew. Adapters that it lacks, those of stores made earlier among
    them, are found by listing the summaries (`adapter.find_summary` does both).

    Attributes:
        adapters: their digests.
    """

    KIND = "a list of adapters"

    format: Literal[1] = 1
    adapters: list[Sha256]


def adapters_beginning(store: Store, digits: str) -> list[str]:
    """Return the adapters that begin so, going by keys alone; those of stores made earlier may be missing.

    Args:
        store: where adapters are.
        digits: the first 8 digits of a digest, or more.

    Returns:
        Their digests, sorted.
    """
    key = adapters_beginning_key(digits[:BEGINNING])
    version = store.current(key, max_bytes=MAX_DOCUMENT)
    listed = or_none(Beginning, version[0] if version else None, f"{store.uri}/{key}")
    return sorted(adapter for adapter in (listed.adapters if listed else []) if adapter.startswith(digits))


def list_adapter(store: Store, adapter: str) -> None:
    """Note an adapter in the list of its beginning.

    Args:
        store: where lists are.
        adapter: digest of the adapter.
    """
    key = adapters_beginning_key(adapter[:BEGINNING])

    def change(data: bytes | None) -> bytes | None:
        listed = or_none(Beginning, data, f"{store.uri}/{key}")
        before = listed.adapters if listed else []
        return None if adapter in before else Beginning(adapters=sorted([*before, adapter])).to_bytes()

    store.update(key, change, max_bytes=MAX_DOCUMENT)
