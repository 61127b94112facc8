"""The object store: content-addressed, verified on every read, changed by conditional put only."""

from distillery.components.store.address import Address, in_bucket, scheme_of
from distillery.components.store.digests import (
    Digest,
    Json,
    as_digest,
    canonical_json,
    digest_bytes,
    digest_file,
    digest_json,
    digest_stream,
)
from distillery.components.store.folders import FileEntry, Folder
from distillery.components.store.layout import MANIFEST
from distillery.components.store.objects import (
    REDO,
    Conflict,
    Entry,
    NotFound,
    StoreError,
    TooLarge,
    check_key,
    not_read,
    parse_json,
)
from distillery.components.store.open import open_bucket, open_store
from distillery.components.store.store import Store

__all__ = [
    "MANIFEST",
    "REDO",
    "Address",
    "Conflict",
    "Digest",
    "Entry",
    "FileEntry",
    "Folder",
    "Json",
    "NotFound",
    "Store",
    "StoreError",
    "TooLarge",
    "as_digest",
    "canonical_json",
    "check_key",
    "digest_bytes",
    "digest_file",
    "digest_json",
    "digest_stream",
    "in_bucket",
    "not_read",
    "open_bucket",
    "open_store",
    "parse_json",
    "scheme_of",
]
