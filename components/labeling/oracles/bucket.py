"""The bucket that a batch job reads from and writes to: the four things done with it, and Google's as the only one so far.

The service reads and writes gs:// only, so the project's own store (file://, s3://) can't be used. STORAGE_EMULATOR_HOST, which
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
    """A folder of a bucket. Names are relative to `uri`, which ends without a slash."""

    uri: str

    def upload(self, name: str, path: Path) -> None:
        """Upload a file.

        Args:
            name: the object's name.
            path: the file.
        """

    def names(self, folder: str) -> list[str]:
        """List a folder.

        Args:
            folder: its name.

        Returns:
            All names below it, sorted.
        """

    def open(self, name: str) -> IO[bytes]:
        """Open an object for reading, streamed.

        Args:
            name: the object's name.

        Returns:
            The stream.

        Raises:
            KeyError: there is no such object.
        """


class GoogleBucket:
    """A folder of a Google Cloud Storage bucket. The client retries its requests, which it may do, since they cost nothing."""

    def __init__(self, prefix: str, who: Account) -> None:
        """prefix: gs://bucket/folder."""
        from google.cloud.storage import Client

        self.uri = prefix.rstrip("/")
        bucket, _, self._folder = self.uri.removeprefix("gs://").partition("/")
        self._bucket = Client(project=who.project, credentials=who.credentials).bucket(bucket)

    def _full(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def upload(self, name: str, path: Path) -> None:
        """Upload a file.

        Args:
            name: the object's name.
            path: the file.
        """
        self._bucket.blob(self._full(name), chunk_size=CHUNK).upload_from_filename(str(path))

    def names(self, folder: str) -> list[str]:
        """List a folder.

        Args:
            folder: its name.

        Returns:
            All names below it, sorted.
        """
        start = len(self._full(""))
        return sorted(blob.name[start:] for blob in self._bucket.list_blobs(prefix=self._full(f"{folder}/")))

    def open(self, name: str) -> IO[bytes]:
        """Open an object for reading, streamed.

        Args:
            name: the object's name.

        Returns:
            The stream.

        Raises:
            KeyError: there is no such object.
        """
        from google.cloud.exceptions import NotFound

        blob = self._bucket.blob(self._full(name), chunk_size=CHUNK)
        try:
            blob.reload()
        except NotFound:
            raise KeyError(name) from None
        reader: IO[bytes] = blob.open("rb")
        return reader


def lines(bucket: Bucket, name: str) -> Iterator[bytes]:
    """Yield the lines of an object.

    Args:
        bucket: where it is.
        name: its name.

    Yields:
        Each line, with its end.

    Raises:
        KeyError: there is no such object.
    """
    with bucket.open(name) as stream:
        yield from stream


def open_bucket(prefix: str | None, who: Account) -> Bucket:
    """Open the bucket of `oracle.batchPrefix`.

    Args:
        prefix: gs://bucket/folder.
        who: who asks.

    Returns:
        The bucket.

    Raises:
        InputError: the prefix is not set.
    """
    if not prefix:
        raise InputError("is not set", where="spec.oracle.batchPrefix", hint="set it to gs://bucket/folder")
    return GoogleBucket(prefix, who)
