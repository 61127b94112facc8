"""Open a store by its address: file:///abs, a plain path, or s3://bucket/prefix."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from distillery.components.store.objects import StoreError, check_key
from distillery.components.store.store import Store


def open_store(uri: str, *, write: bool = True) -> Store:
    """A store at "file:///abs", a plain path, or "s3://bucket/prefix"; StoreError if it can't be written (or read)."""
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
