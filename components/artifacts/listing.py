"""Which version of a run's data is there: of one object, or of every object below a prefix, by one listing."""

from __future__ import annotations

from typing import ClassVar

from distillery.components.articles.folders import shard_names
from distillery.components.artifacts.document import Document
from distillery.components.store import Address, Digest, Store, digest_bytes, digest_file, open_bucket
from distillery.components.store.layout import listing_key


class Listing(Document):
    """The objects below a prefix, each in its version. It is found by its digest.

    Attributes:
        files: versions, by key in the bucket; for a folder of this machine, by name in the folder.
    """

    KIND: ClassVar[str] = "a listing of articles"
    HINT: ClassVar[str] = "delete it: the articles that are there by then count as taken"

    files: dict[str, str]

    @property
    def digest(self) -> Digest:
        """Return what it is found by."""
        return digest_bytes(self.to_bytes())

    def since(self, earlier: Listing) -> list[str]:
        """Return what has come or changed.

        Args:
            earlier: an earlier listing of the same prefix.

        Returns:
            Keys, in order.
        """
        return [name for name, version in sorted(self.files.items()) if earlier.files.get(name) != version]

    def keep(self, store: Store, name: str) -> Digest:
        """Store it, where it is not stored already.

        Args:
            store: where it goes.
            name: of the filter.

        Returns:
            Its digest.
        """
        key = listing_key(name, self.digest)
        if not store.exists(key):
            self.put(store, key)
        return self.digest


def read_listing(store: Store, name: str, digest: str) -> Listing:
    """Return a stored listing.

    Args:
        store: where it is.
        name: of the filter.
        digest: of the listing.

    Returns:
        The listing.

    Raises:
        NotFound: it is not there.
        StoreError: it can't be read, or was altered.
    """
    return Listing.load(store, listing_key(name, digest), digest=Digest(digest))


def data_version(uri: str) -> str | dict[str, str] | None:
    """Return the version of an object, or of all objects below a prefix.

    A prefix costs a request for each 1,000 objects, and one more where its address has no slash at its end.

    Args:
        uri: Its address.

    Returns:
        The etag, or etags by key; of this machine, the digest of a file, or those of a folder's files by name; None where
        there is nothing.

    Raises:
        StoreError: It can't be reached.
    """
    address = Address.parse(uri)
    if not address.in_bucket:
        path = address.local
        if not path.is_dir():
            return digest_file(path) if path.is_file() else None
        names = shard_names(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        return {name: digest_file(path / name) for name in names} or None
    bucket = open_bucket(address)
    etag = bucket.etag(address.path) if address.name else None
    return etag or {entry.key: entry.etag for entry in bucket.entries(address.path.rstrip("/"))} or None


def place_of(uri: str, name: str) -> str:
    """Return where an object of a listing lies.

    Args:
        uri: the address whose listing it is.
        name: its key in the listing.

    Returns:
        An address.
    """
    address = Address.parse(uri)
    return str(Address(address.scheme, address.bucket, name)) if address.in_bucket else str(address.local / name)


def holds_rows(uri: str, names: list[str]) -> list[str]:
    """Return which objects of a listing hold rows: no README, no checksum, nothing whose name begins with "_" or ".".

    Args:
        uri: the address whose listing it is.
        names: keys in the listing.

    Returns:
        Some of them, in order.
    """
    address = Address.parse(uri)
    folder = f"{address.path.rstrip('/')}/" if address.in_bucket else ""
    return [f"{folder}{name}" for name in shard_names(name.removeprefix(folder) for name in names)]
