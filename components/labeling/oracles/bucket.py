"""The bucket that a batch job reads from and writes to: the four things done with it, and Google's as the one there is.

The service reads and writes gs:// only, so the project's own store (file://, s3://) can't serve. STORAGE_EMULATOR_HOST, which
the client library knows, points it at a local one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from distillery.filters.errors import InputError

if TYPE_CHECKING:
    from distillery.components.labeling.oracles.gemini import Account

CHUNK = 8 * 2**20  # of an upload; what a broken connection sends again


class Bucket(Protocol):
    """Names are relative to `uri`, which ends without a slash."""

    uri: str

    def upload(self, name: str, path: Path) -> None: ...

    def names(self, folder: str) -> list[str]:
        """All names below the folder, sorted."""

    def open(self, name: str) -> IO[bytes]:
        """For reading, streamed. KeyError: there is none."""


class GoogleBucket:
    """A folder of a Google Cloud Storage bucket. Requests are retried by the client, which may do so: they cost nothing."""

    def __init__(self, prefix: str, who: Account) -> None:
        """prefix: gs://bucket/folder."""
        from google.cloud.storage import Client

        self.uri = prefix.rstrip("/")
        bucket, _, self._folder = self.uri.removeprefix("gs://").partition("/")
        self._bucket = Client(project=who.project, credentials=who.credentials).bucket(bucket)

    def _full(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def upload(self, name: str, path: Path) -> None:
        self._bucket.blob(self._full(name), chunk_size=CHUNK).upload_from_filename(str(path))

    def names(self, folder: str) -> list[str]:
        start = len(self._full(""))
        return sorted(blob.name[start:] for blob in self._bucket.list_blobs(prefix=self._full(f"{folder}/")))

    def open(self, name: str) -> IO[bytes]:
        from google.cloud.exceptions import NotFound

        blob = self._bucket.blob(self._full(name), chunk_size=CHUNK)
        try:
            blob.reload()
        except NotFound:
            raise KeyError(name) from None
        reader: IO[bytes] = blob.open("rb")
        return reader


def lines(bucket: Bucket, name: str) -> Iterator[bytes]:
    """The object's lines, one after the other. KeyError: there is none."""
    with bucket.open(name) as stream:
        yield from stream


def open_bucket(prefix: str | None, who: Account) -> Bucket:
    if not prefix:
        raise InputError("is not set", where="spec.oracle.batchPrefix", hint="set it to gs://bucket/folder")
    return GoogleBucket(prefix, who)
