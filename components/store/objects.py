"""What a backend of the store does, and the errors that all backends share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from distillery.components.remote.retry import by_service
from distillery.components.store.digests import Digest, Json
from distillery.filters.errors import FULL, InputError, disk_hint
from distillery.filters.strict_json import loads

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

REDO_FOLDER = "restore it from a copy, or delete its folder and redo the step that wrote it"
REDO = "restore it from a copy, or delete it and redo the step that wrote it"
_SEGMENT = r"[A-Za-z0-9_@=-][A-Za-z0-9._@=-]*"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


class NotFound(KeyError):
    """No object has this key."""

    def __str__(self) -> str:
        return f"{self.args[0]} is not in the store"


class Conflict(RuntimeError):
    """A conditional put lost: another writer changed the object meanwhile; nothing of ours was written."""


class StoreError(InputError):
    """The store can't be read or written, or holds bytes other than those asked for."""


class TooLarge(StoreError):
    """An object is larger than it can be.

    Args:
        max_bytes: size that it may have.
        where: its address.
        hint: what to do.
    """

    def __init__(self, max_bytes: int, where: str, hint: str = REDO) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"is larger than the {max_bytes:,} bytes expected", where=where, hint=hint)


def altered(uri: str, key: str, digest: Digest, actual: Digest, hint: str) -> StoreError:
    """Return one line on an object whose bytes are not those that its digest names.

    Args:
        uri: the store's address.
        key: of the object.
        digest: what it must have.
        actual: what it has.
        hint: what to do.

    Returns:
        What is wrong.
    """
    what = f"holds other bytes than its digest names (sha256 {actual[:12]}…, expected {digest[:12]}…)"
    return StoreError(what, where=f"{uri}/{key}", hint=hint)


def unwritable(error: OSError, path: Path) -> StoreError:
    """Return one line on an error of the file system at a write.

    Args:
        error: what the file system raised.
        path: of what was to be written.

    Returns:
        What is wrong, and what to do.
    """
    full = error.errno in FULL
    what = "the disk is full; nothing was written" if full else f"can't be written: {error.strerror or error}"
    return StoreError(what, where=str(path), hint=disk_hint(error))


def unreadable(error: OSError, path: Path) -> StoreError:
    """Return one line on an error of the file system at a read.

    Args:
        error: what the file system raised.
        path: of what was to be read.

    Returns:
        What is wrong, and what to do.
    """
    return StoreError(f"can't be read: {error.strerror or error}", where=str(path), hint=disk_hint(error))


def not_read(error: BaseException) -> bool:
    """True if an object could not be read, rather than read and found torn or of another form, so that nothing is known of it.

    Args:
        error: what reading it raised, with its causes.

    Returns:
        True for an error of the disk, a refusal or an outage.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (NotFound, FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        if isinstance(cause, OSError) or by_service(cause):
            return True
        cause = cause.__cause__
    return False


def check_key(key: str) -> str:
    """Return a key that can neither climb out of the store nor mean different things on file systems and S3.

    Args:
        key: one or more names with slashes between them.

    Returns:
        The key itself.

    Raises:
        InputError: it has other characters, a name with a leading dot, an empty name, or more than 900 characters.
    """
    if len(key) > 900 or not _KEY.fullmatch(key):
        raise InputError(
            f"{key[:120]!r} can't be a name in the store",
            hint="use letters, digits and . _ @ = -, no leading dot or slash, no '..'",
        )
    return key


def parse_json(data: bytes, where: str) -> Json:
    """Return the value of a JSON document.

    Args:
        data: the document, in UTF-8.
        where: its address, for the error.

    Returns:
        The value.

    Raises:
        StoreError: it isn't JSON, holds NaN or infinities, has a key twice, or is nested too deep.
    """
    try:
        value: Json = loads(data, constants=False)
        return value
    except (ValueError, RecursionError) as error:
        raise StoreError(f"is not JSON: {str(error)[:200]}", where=where) from error


class Entry(NamedTuple):
    """What a listing says of an object.

    Attributes:
        key: of the object.
        size: in bytes.
        modified: when it was written, in seconds since 1970.
        etag: of the version; "" in a folder, whose listing tells none.
    """

    key: str
    size: int
    modified: float
    etag: str = ""


class Objects(Protocol):
    """What a backend does. `FileObjects` and `S3Objects` behave alike, down to errors; `Store` checks the keys.

    Each method raises StoreError where the place can't be reached or refuses.

    Attributes:
        uri: address of the place, without a slash at its end.
    """

    uri: str

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading, one version from its first byte to its last.

        Args:
            key: of the object.

        Returns:
            A context manager that gives the stream; NotFound where there is no such object.
        """

    def versioned(self, key: str, max_bytes: int | None) -> tuple[bytes, str]:
        """Return an object's bytes and their etag.

        Args:
            key: of the object.
            max_bytes: size that it may have; None for any. A larger one is TooLarge.

        Returns:
            Bytes and etag of one version; NotFound where there is no such object.
        """

    def exists(self, key: str) -> bool:
        """True if there is such an object.

        Args:
            key: of the object.

        Returns:
            Whether it is there now.
        """

    def etag(self, key: str) -> str | None:
        """Return what `put_if` compares.

        Args:
            key: of the object.

        Returns:
            A text that differs for other bytes; None where there is no such object.
        """

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, whatever was there.

        Args:
            key: of the object.
            data: its bytes, or a file to copy.
        """

    def put_if(self, key: str, data: bytes, etag: str | None) -> None:
        """Write an object unless another version is there than `etag` says; then raise Conflict.

        Args:
            key: of the object.
            data: its bytes; where exactly these are there already, nothing is written and nothing raised.
            etag: of the version to replace; None where there must be none.
        """

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is removed already.

        Args:
            key: of the object.
        """

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Yield what is below a folder, sorted by key.

        Args:
            prefix: the folder, without a slash at its end; empty for all.

        Yields:
            Objects, by whole keys.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, sorted.

        Args:
            prefix: the folder, without a slash at its end; empty for all.

        Yields:
            Whole keys.
        """
        return (entry.key for entry in self.entries(prefix))

    def below(self, folder: str) -> Objects:
        """Return what is below a folder, by keys from there.

        Args:
            folder: the folder, without a slash at its end.

        Returns:
            The objects there, reached as these are.
        """
        raise NotImplementedError(type(self).__name__)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders directly below a folder, sorted, without listing what they hold.

        Args:
            prefix: the folder, without a slash at its end.

        Yields:
            Names without a slash.
        """
