"""Which version of a run's data is there: of one object, or of every object below a prefix, by one listing.

A stored listing can be read in place of its prefix (`input_files`): it stands for the objects that it names, as they were.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from distillery.components.articles.folders import shard_names
from distillery.components.store import (
    Address,
    Digest,
    Store,
    StoreError,
    canonical_json,
    digest_bytes,
    digest_file,
    open_bucket,
    parse_json,
)
from distillery.components.store.layout import listing_key

MAX_LISTING = 64 * 2**20


class Listing(BaseModel):
    """The objects below a prefix, each in its version. It is found by its digest.

    Attributes:
        of: address of the prefix, or of a folder of this machine.
        files: versions, by key in the bucket, or by name in the folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    of: str
    files: dict[str, str]

    @property
    def digest(self) -> Digest:
        """Return what it is found by."""
        return digest_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the bytes in which it is stored.

        Returns:
            Canonical JSON.
        """
        return canonical_json({"of": self.of, "files": dict(self.files)})

    @staticmethod
    def read(data: bytes, where: str) -> Listing:
        """Return the listing that these bytes hold.

        Args:
            data: its bytes.
            where: its address, whose last name is the digest that the bytes must have.

        Returns:
            The listing.

        Raises:
            StoreError: they are no listing, or were altered.
        """
        if digest_bytes(data) != where.rpartition("/")[2].removesuffix(".json"):
            raise StoreError("holds other bytes than its digest names", where=where, hint="delete it: it is made anew")
        try:
            return Listing.model_validate(parse_json(data, where))
        except ValidationError as error:
            raise StoreError("is no listing of articles", where=where, hint="delete it: it is made anew") from error

    def since(self, earlier: Listing) -> list[str]:
        """Return what has come or changed.

        Args:
            earlier: an earlier listing of the same prefix.

        Returns:
            Keys, in order.
        """
        return [name for name, version in sorted(self.files.items()) if earlier.files.get(name) != version]

    def rows(self) -> dict[str, str]:
        """Return the objects that hold rows: no README, no checksum, nothing whose name begins with "_" or ".".

        Returns:
            Keys by the names that they have below the prefix, in order.
        """
        address = Address.parse(self.of)
        folder = f"{address.path.rstrip('/')}/" if address.in_bucket else ""
        names = shard_names(key.removeprefix(folder) for key in self.files)
        return {name: f"{folder}{name}" for name in names}

    def place(self, key: str) -> Address:
        """Return where an object lies.

        Args:
            key: its key.

        Returns:
            Its address.
        """
        of = Address.parse(self.of)
        return Address(of.scheme, of.bucket, key) if of.in_bucket else Address("file", "", str(of.local / key))

    def keep(self, store: Store, name: str) -> str:
        """Store it, where it is not stored already.

        Args:
            store: where it goes.
            name: of the filter.

        Returns:
            Its address.
        """
        key = listing_key(name, self.digest)
        if not store.exists(key):
            store.put(key, self.to_bytes())
        return f"{store.uri}/{key}"


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
    key = listing_key(name, digest)
    return Listing.read(store.get(key, max_bytes=MAX_LISTING), f"{store.uri}/{key}")


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
