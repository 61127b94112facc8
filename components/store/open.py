"""Reach a store by its address, or one object of a bucket that is no store.

An address is file:///absolute/path, a plain path, or s3://bucket/prefix. S3 is reached as the usual AWS variables say
(AWS_ENDPOINT_URL, AWS_REGION, the credentials); boto3 is imported for s3:// alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from distillery.components.store.objects import StoreError, check_key
from distillery.components.store.store import Store

if TYPE_CHECKING:
    from distillery.components.store.s3_objects import S3Objects


def open_store(uri: str, *, write: bool = True) -> Store:
    """Open the store at an address.

    Args:
        uri: "file:///absolute/path", a plain path ("~" is the home folder), or "s3://bucket/prefix".
        write: True to make the folder where it isn't there, and to find out at once whether the store can be written;
            False to only read, which asks nothing until something is read.

    Returns:
        The store.

    Raises:
        StoreError: the address is of another kind, or the store can't be written; in a bucket, also where it doesn't answer.
    """
    scheme, separator, _ = uri.partition("://")
    if separator and scheme == "s3":
        from distillery.components.store.s3_objects import S3Objects

        parts = urlsplit(uri)
        prefix = parts.path.strip("/")
        if prefix:
            check_key(prefix)
        return Store(S3Objects(parts.netloc, prefix, write=write))
    if separator and scheme != "file":
        raise StoreError(
            f"{scheme}:// is not a kind of store", where=uri, hint="use file:///path, a path, or s3://bucket/prefix"
        )
    from distillery.components.store.file_objects import FileObjects

    if separator:
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise StoreError("a file:// store needs an absolute path", where=uri, hint="write file:///absolute/path")
        return Store(FileObjects(Path(unquote(parts.path)), write=write))
    if not uri:
        raise StoreError("the store's address is empty", hint="use file:///path, a path, or s3://bucket/prefix")
    return Store(FileObjects(Path(uri).expanduser(), write=write))


def open_bucket(uri: str) -> tuple[S3Objects, str]:
    """Open the bucket of an object that lies outside the store, to be read only.

    Users name their files as they like, so the key is not held to `check_key`. A bucket is opened once a process: a client
    costs 0.1 s.

    Args:
        uri: "s3://bucket/key", or "s3://bucket/prefix" of several objects.

    Returns:
        The bucket's objects, and the key or prefix as the address has it.

    Raises:
        StoreError: the address names no bucket, or the AWS variables are wrong.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return _bucket(bucket), key


@lru_cache(maxsize=8)
def _bucket(name: str) -> S3Objects:
    from distillery.components.store.s3_objects import S3Objects

    return S3Objects(name, "", write=False)
