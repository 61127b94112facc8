"""Object storage: one layout under file:// and s3://, addressed by content, changed by conditional put.

Every reader verifies what it reads against a digest it was given; nothing is trusted for where it lies. The price is
one sha256 per read (about 1 GB/s), the gain that a stale, torn or altered file can never be used by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from distillery.components.store.digests import Digest, Json, digest_bytes
from distillery.components.store.folders import Folder, manifest_of, read_folder
from distillery.components.store.layout import committed_key
from distillery.components.store.objects import (
    REDO,
    Conflict,
    Entry,
    NotFound,
    Objects,
    TooLarge,
    altered,
    check_key,
    parse_json,
)

ATTEMPTS = 20


class Store:
    """Objects by key. Safe to share between threads; several processes may use one store at once.

    Every method raises InputError for a key that can't be one (`check_key`), and StoreError where the store can't be
    reached or refuses. `distillery.components.store.layout` makes the keys.

    Attributes:
        uri: the store's address, "file:///…" or "s3://bucket/prefix", without a slash at its end.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.uri = objects.uri

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def get(self, key: str, *, digest: Digest | None = None, max_bytes: int | None = None, hint: str = REDO) -> bytes:
        """Return an object's bytes.

        Args:
            key: of the object.
            digest: sha256 that the bytes must have; None for whatever is there.
            max_bytes: size that the object may have; None for any.
            hint: what to do where it is larger, or is not what `digest` names.

        Returns:
            All bytes of one version of the object.

        Raises:
            NotFound: there is no such object.
            StoreError: the object is larger than `max_bytes`, or isn't what `digest` names.
        """
        data, _ = self._versioned(key, max_bytes, hint)
        if digest is not None and (actual := digest_bytes(data)) != digest:
            raise altered(self.uri, key, digest, actual, hint)
        return data

    def get_json(self, key: str, *, digest: Digest | None = None, max_bytes: int = 64 * 2**20) -> Json:
        """Return an object parsed as JSON.

        Args:
            key: of the object.
            digest: sha256 that the bytes must have; None for whatever is there.
            max_bytes: size that the object may have.

        Returns:
            The value.

        Raises:
            StoreError: the object isn't JSON; otherwise as `get`.
        """
        return parse_json(self.get(key, digest=digest, max_bytes=max_bytes), f"{self.uri}/{key}")

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading without holding it in memory.

        The stream has the bytes of one version and ends where that version ends: an object that is replaced meanwhile, or
        a reply that breaks off, is StoreError and never a shorter file. It compares no digest; `Folder` does.

        Args:
            key: of the object.

        Returns:
            A context manager that gives a binary stream and closes it. Entering it raises NotFound where there is no such
            object.
        """
        return self._objects.open(check_key(key))

    def current(self, key: str, *, max_bytes: int | None = None, hint: str = REDO) -> tuple[bytes, str] | None:
        """Return an object together with what `put_if` compares; for a change that `update` doesn't fit.

        Args:
            key: of the object.
            max_bytes: size that the object may have; None for any.
            hint: what to do where it is larger.

        Returns:
            Bytes and etag of one and the same version; None where there is no such object.

        Raises:
            StoreError: the object is larger than `max_bytes`.
        """
        try:
            return self._versioned(key, max_bytes, hint)
        except NotFound:
            return None

    def _versioned(self, key: str, max_bytes: int | None, hint: str) -> tuple[bytes, str]:
        try:
            return self._objects.versioned(check_key(key), max_bytes)
        except TooLarge as error:
            raise TooLarge(error.max_bytes, error.where, hint) from error

    def exists(self, key: str) -> bool:
        """True if there is an object at this key.

        Args:
            key: of the object.

        Returns:
            Whether it is there now.
        """
        return self._objects.exists(check_key(key))

    def etag(self, key: str) -> str | None:
        """Return what `put_if` compares, without reading the object.

        Args:
            key: of the object.

        Returns:
            A text that differs for other bytes; None where there is no such object.
        """
        return self._objects.etag(check_key(key))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write an object atomically, whatever was there; for keys that are addressed by content.

        Args:
            key: of the object.
            data: its bytes, or a file whose bytes are copied.
        """
        self._objects.put(check_key(key), data)

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> None:
        """Write an object only if nobody has written it meanwhile.

        An unknown outcome (a lost reply, 412 on one's own retried write) is read back: if the store then holds exactly
        `data`, the put has succeeded. So writers who must tell their own writes from others' put a nonce in the bytes.

        Args:
            key: of the object.
            data: its bytes.
            etag: of the version that must still be there; None where there must be none.

        Raises:
            Conflict: another version is there now. Nothing was written.
        """
        self._objects.put_if(check_key(key), data, etag)

    def update(
        self,
        key: str,
        change: Callable[[bytes | None], bytes | None],
        *,
        max_bytes: int | None = None,
        hint: str = REDO,
    ) -> bytes | None:
        """Read an object, change it, and write it if nobody has written it meanwhile; otherwise begin again.

        As with `put_if`, an object that is found to hold exactly the new bytes counts as written.

        Args:
            key: of the object.
            change: makes the new bytes from the present ones (None where there is no such object); returns None to leave
                the object as it is. It is called once an attempt, so it must not do anything that can't be done twice. What
                it raises goes to the caller, and nothing is written.
            max_bytes: size that the object may have; None for any.
            hint: what to do where it is larger.

        Returns:
            The bytes that were written, or those that were left; None where nothing was there and nothing was written.

        Raises:
            Conflict: others wrote the object in the middle of each of 20 attempts.
        """
        for _ in range(ATTEMPTS):
            present, etag = self.current(key, max_bytes=max_bytes, hint=hint) or (None, None)
            data = change(present)
            if data is None:
                return present
            try:
                self.put_if(key, data, etag=etag)
            except Conflict:
                continue
            return data
        raise Conflict(f"{key} changed {ATTEMPTS} times while it was being changed here")

    def delete(self, key: str) -> None:
        """Remove an object, for `distillery.components.collecting` alone: what is stored is otherwise immutable.

        Args:
            key: of the object; one that is not there is removed already.
        """
        self._objects.delete(check_key(key))

    def below(self, folder: str) -> Store:
        """Return the store of a folder of this one, which costs no new connection and asks nothing.

        Args:
            folder: the folder.

        Returns:
            The store, whose keys begin there.
        """
        return Store(self._objects.below(check_key(folder)))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys below a folder, sorted; for people and tests, never for decisions.

        Args:
            prefix: the folder; empty for the whole store.

        Yields:
            Whole keys, from the root of the store.
        """
        return self._objects.keys(check_key(prefix.rstrip("/")) if prefix else "")

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Yield what is below a folder with sizes and times, sorted by key; for people, as `keys`.

        A bucket tells of 1,000 objects a request.

        Args:
            prefix: the folder; empty for the whole store.

        Yields:
            Objects, by whole keys.
        """
        return self._objects.entries(check_key(prefix.rstrip("/")) if prefix else "")

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders directly below a folder, sorted; for people, as `keys`.

        What they hold is not listed, so that a folder of a thousand objects costs no more than an empty one.

        Args:
            prefix: the folder.

        Yields:
            Names without a slash.
        """
        return self._objects.folders(check_key(prefix.rstrip("/")))

    def commit(self, prefix: str, files: Mapping[str, bytes | Path], meta: Mapping[str, Json]) -> Digest:
        """Write a folder that is named by its content: its files, then a manifest with the size and sha256 of each.

        Committing the same again changes nothing. A commit that is killed leaves files that nobody finds.

        Args:
            prefix: folder above it, such as `layout.SPLITS`.
            files: bytes, or a file to copy, by name.
            meta: what else the manifest says, as JSON.

        Returns:
            The digest of the manifest, by which `folder` finds it: a function of files and meta alone.
        """
        manifest = manifest_of(files, meta)
        digest = digest_bytes(manifest)
        for name, data in files.items():
            self.put(committed_key(prefix, digest, name), data)
        self.put(committed_key(prefix, digest), manifest)
        return digest

    def folder(self, prefix: str, digest: Digest) -> Folder:
        """Return a folder that `commit` wrote, its manifest verified; its files are verified when they are read.

        Args:
            prefix: folder above it, such as `layout.SPLITS`.
            digest: what `commit` returned.

        Returns:
            The folder; no file of it has been read yet.

        Raises:
            NotFound: there is no such folder.
            StoreError: the manifest was altered.
        """
        return read_folder(self, prefix, digest)
