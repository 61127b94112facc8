"""Reach a store by its address, or one object of a bucket that is no store.

`address.py` says what an address is. S3 is reached as the usual AWS variables and the AWS configuration file say; boto3 is
imported for s3:// alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from distillery.components.store.address import Address
from distillery.components.store.objects import StoreError
from distillery.components.store.store import Store

if TYPE_CHECKING:
    from distillery.components.store.s3_objects import S3Objects


def open_store(uri: str, *, write: bool = True, patience: float | None = None) -> Store:
    """Open the store at an address.

    Args:
        uri: "file:///absolute/path", a plain path ("~" is the home folder), or "s3://bucket/prefix".
        write: True to make the folder where it isn't there, and to find out at once whether the store can be written;
            False to only read, which asks nothing until something is read.
        patience: seconds that an outage of a bucket is waited out, once it has answered; None for three minutes.

    Returns:
        The store.

    Raises:
        StoreError: the address is of another kind, or the store can't be written; in a bucket, also where it doesn't answer.
    """
    if uri.endswith(("\n", "\r", "\t")) or (len(uri) > 1 and uri[0] == uri[-1] and uri[0] in "'\""):
        what = "is quoted, or ends in a line break, as settings that are read from a file may"
        raise StoreError(what, where=repr(uri), hint="take that away; a folder of such a name is given as file://")
    address = Address.parse(uri)
    if not address.in_bucket:
        from distillery.components.store.file_objects import FileObjects

        return Store(FileObjects(address.local, write=write))
    from distillery.components.store.s3_objects import S3Objects

    prefix = address.path.rstrip("/")
    # Servers and clients disagree on such names: here they are kept, there they are resolved to another store.
    if prefix and any(name in ("", ".", "..") for name in prefix.split("/")):
        what = 'has an empty name, "." or ".." between its slashes'
        raise StoreError(what, where=uri, hint="write s3://bucket/prefix with one slash after each name")
    return Store(S3Objects(address.bucket, prefix, write=write, patience=patience))


def open_bucket(address: Address) -> S3Objects:
    """Open the bucket of an object that lies outside the store, to be read only.

    Users name their files as they like, so the key is not held to `check_key`. A bucket is opened once a process: a client
    costs 0.1 s.

    Args:
        address: of an object, or of a prefix of several.

    Returns:
        The bucket's objects, by whole keys.

    Raises:
        StoreError: the AWS variables or the AWS configuration file are wrong.
    """
    return _bucket(address.bucket)


@lru_cache(maxsize=8)
def _bucket(name: str) -> S3Objects:
    from distillery.components.store.s3_objects import S3Objects

    return S3Objects(name, "", write=False)
