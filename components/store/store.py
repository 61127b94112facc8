"""Object storage: one layout under file:// and s3://, addressed by content, changed by conditional put.

Every reader verifies what it reads against a digest it was given; nothing is trusted for where it lies. The price is
one sha256 per read (about 1 GB/s), the gain that a stale, torn or altered file can never be used by mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from distillery.components.store.digests import Digest, Json, as_digest, canonical_json, digest_bytes, digest_file
from distillery.components.store.layout import MANIFEST, committed_key
from distillery.components.store.objects import (
    REDO,
    REDO_FOLDER,
    Conflict,
    Entry,
    NotFound,
    Objects,
    StoreError,
    TooLarge,
    check_key,
    parse_json,
)

MAX_MANIFEST = 4 * 2**20
CHUNK = 2**20
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

    def get(self, key: str, *, digest: Digest | None = None, max_bytes: int | None = None) -> bytes:
        """Return an object's bytes.

        Args:
            key: of the object.
            digest: sha256 that the bytes must have; None for whatever is there.
            max_bytes: size that the object may have; None for any.

        Returns:
            All bytes of one version of the object.

        Raises:
            NotFound: there is no such object.
            StoreError: the object is larger than `max_bytes`, or isn't what `digest` names.
        """
        data, _ = self._objects.versioned(check_key(key), max_bytes)
        if digest is not None and (actual := digest_bytes(data)) != digest:
            raise _altered(self.uri, key, digest, actual)
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

    def current(self, key: str, *, max_bytes: int | None = None) -> tuple[bytes, str] | None:
        """Return an object together with what `put_if` compares; for a change that `update` doesn't fit.

        Args:
            key: of the object.
            max_bytes: size that the object may have; None for any.

        Returns:
            Bytes and etag of one and the same version; None where there is no such object.

        Raises:
            StoreError: the object is larger than `max_bytes`.
        """
        try:
            return self._objects.versioned(check_key(key), max_bytes)
        except NotFound:
            return None

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

    def update(self, key: str, change: Callable[[bytes | None], bytes | None], *, max_bytes: int | None = None) -> bytes | None:
        """Read an object, change it, and write it if nobody has written it meanwhile; otherwise begin again.

        As with `put_if`, an object that is found to hold exactly the new bytes counts as written.

        Args:
            key: of the object.
            change: makes the new bytes from the present ones (None where there is no such object); returns None to leave
                the object as it is. It is called once an attempt, so it must not do anything that can't be done twice. What
                it raises goes to the caller, and nothing is written.
            max_bytes: size that the object may have; None for any.

        Returns:
            The bytes that were written, or those that were left; None where nothing was there and nothing was written.

        Raises:
            Conflict: others wrote the object in the middle of each of 20 attempts.
        """
        for _ in range(ATTEMPTS):
            present, etag = self.current(key, max_bytes=max_bytes) or (None, None)
            data = change(present)
            if data is None:
                return present
            try:
                self.put_if(key, data, etag=etag)
            except Conflict:
                continue
            return data
        raise Conflict(f"{key} changed {ATTEMPTS} times while it was being changed here")

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
        entries: dict[str, Json] = {}
        for name, data in files.items():
            if check_key(name) == MANIFEST:
                raise ValueError(f"{MANIFEST} is written by commit itself")
            if isinstance(data, Path):
                entries[name] = {"sha256": digest_file(data), "size": data.stat().st_size}
            else:
                entries[name] = {"sha256": digest_bytes(data), "size": len(data)}
        manifest = canonical_json({"format": 1, "meta": dict(meta), "files": entries})
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
        as_digest(digest)
        key = committed_key(prefix, digest)
        where = f"{self.uri}/{key}"
        manifest = parse_json(self.get(key, digest=digest, max_bytes=MAX_MANIFEST), where)
        try:
            files = {
                check_key(name): FileEntry(as_digest(entry["sha256"]), int(entry["size"]))
                for name, entry in manifest["files"].items()
            }
            meta = dict(manifest["meta"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"is not a manifest: {error}", where=where) from error
        return Folder(self, f"{prefix}/{digest}", digest, meta, files)


@dataclass(frozen=True)
class FileEntry:
    """What a manifest says of a file.

    Attributes:
        sha256: of its bytes.
        size: in bytes.
    """

    sha256: Digest
    size: int


@dataclass(frozen=True)
class Folder:
    """A committed folder: its manifest is verified, each file is when it is read.

    Attributes:
        store: where it lies.
        prefix: its own folder in the store, the digest included.
        digest: of its manifest.
        meta: what the manifest says beside the files.
        files: what the manifest says of each file, by name.
    """

    store: Store
    prefix: str
    digest: Digest
    meta: dict[str, Json]
    files: dict[str, FileEntry]

    @property
    def where(self) -> str:
        """The folder's address, for people."""
        return f"{self.store.uri}/{self.prefix}"

    def require(self, names: Iterable[str]) -> None:
        """Raise StoreError unless the folder has exactly these files.

        Args:
            names: of the files.
        """
        wanted = set(names)
        if extra := sorted(self.files.keys() - wanted):
            raise StoreError(f"has {', '.join(map(repr, extra))}, a file that doesn't belong there", where=self.where)
        if missing := sorted(wanted - self.files.keys()):
            raise StoreError(f"lacks {', '.join(map(repr, missing))}", where=self.where)

    def _entry(self, name: str) -> FileEntry:
        if name not in self.files:
            raise StoreError(f"lacks {name!r}", where=self.where)
        return self.files[name]

    def _missing(self, name: str) -> StoreError:
        return StoreError(f"lacks {name!r}, which its manifest names", where=self.where, hint=REDO_FOLDER)

    def read(self, name: str) -> bytes:
        """Return a file's bytes, verified in size and digest.

        Args:
            name: of the file.

        Returns:
            All its bytes.

        Raises:
            StoreError: the folder has no such file, or the file was altered or removed.
        """
        entry = self._entry(name)
        try:
            data = self.store.get(key := f"{self.prefix}/{name}", max_bytes=entry.size)
        except NotFound as error:
            raise self._missing(name) from error
        except TooLarge as error:
            raise StoreError(error.what, where=error.where, hint=REDO_FOLDER) from error
        if (actual := digest_bytes(data)) != entry.sha256:
            raise _altered(self.store.uri, key, entry.sha256, actual, REDO_FOLDER)
        return data

    def read_json(self, name: str) -> Json:
        """Return a file parsed as JSON.

        Args:
            name: of the file.

        Returns:
            The value.

        Raises:
            StoreError: the file isn't JSON; otherwise as `read`.
        """
        return parse_json(self.read(name), f"{self.where}/{name}")

    def verify(self) -> None:
        """Read every byte once; raise StoreError at the first file that isn't what the manifest says."""
        for name in self.files:
            self._stream(name, None)

    def download(self, to: Path, only: Iterable[str] | None = None) -> Path:
        """Copy files to this machine, each verified before it takes its name.

        Args:
            to: folder to copy them into; it is made where it isn't there.
            only: names of the files; None for all.

        Returns:
            The folder `to`.

        Raises:
            StoreError: the folder has no such file, or a file was altered or removed.
        """
        for name in self.files if only is None else only:
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            try:
                with part.open("wb") as out:
                    self._stream(name, out)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        return to

    def _stream(self, name: str, out: BinaryIO | None) -> None:
        entry, sha, size = self._entry(name), hashlib.sha256(), 0
        key = f"{self.prefix}/{name}"
        try:
            with self.store.open(key) as stream:
                while size <= entry.size and (chunk := stream.read(CHUNK)):
                    size += len(chunk)
                    sha.update(chunk)
                    if out is not None:
                        out.write(chunk)
        except NotFound as error:
            raise self._missing(name) from error
        if size != entry.size or sha.hexdigest() != entry.sha256:
            raise _altered(self.store.uri, key, entry.sha256, Digest(sha.hexdigest()), REDO_FOLDER)


def _altered(uri: str, key: str, digest: Digest, actual: Digest, hint: str = REDO) -> StoreError:
    what = f"holds other bytes than its digest names (sha256 {actual[:12]}…, expected {digest[:12]}…)"
    return StoreError(what, where=f"{uri}/{key}", hint=hint)
