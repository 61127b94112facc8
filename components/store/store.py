"""Object storage: one layout under file:// and s3://, addressed by content, changed by conditional put.

Every reader verifies what it reads against a digest it was given; nothing is trusted for where it lies. The price is
one sha256 per read (about 1 GB/s), the gain that a stale, torn or altered file can never be used by mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from distillery.components.store.digests import Digest, Json, as_digest, canonical_json, digest_bytes, digest_file
from distillery.components.store.layout import MANIFEST, committed_key
from distillery.components.store.objects import NotFound, Objects, StoreError, check_key, parse_json

MAX_MANIFEST = 4 * 2**20
CHUNK = 2**20


class Store:
    """Objects by key. Safe to share between threads; several processes may use one store at once."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.uri = objects.uri

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def get(self, key: str, *, digest: Digest | None = None, max_bytes: int | None = None) -> bytes:
        """The object's bytes. NotFound if absent; StoreError if larger than `max_bytes` or not what `digest` names."""
        data, _ = self._objects.versioned(check_key(key), max_bytes)
        if digest is not None and (found := digest_bytes(data)) != digest:
            raise _altered(self.uri, key, digest, found)
        return data

    def get_json(self, key: str, *, digest: Digest | None = None, max_bytes: int = 64 * 2**20) -> Json:
        """The object parsed as JSON; StoreError if it isn't."""
        return parse_json(self.get(key, digest=digest, max_bytes=max_bytes), f"{self.uri}/{key}")

    def current(self, key: str, *, max_bytes: int | None = None) -> tuple[bytes, str] | None:
        """Bytes and etag of one and the same version, for a later `put_if`; None if absent."""
        try:
            return self._objects.versioned(check_key(key), max_bytes)
        except NotFound:
            return None

    def exists(self, key: str) -> bool:
        return self._objects.exists(check_key(key))

    def etag(self, key: str) -> str | None:
        """What `put_if` compares; None if absent."""
        return self._objects.etag(check_key(key))

    def put(self, key: str, data: bytes | Path) -> None:
        """Write atomically, whatever was there; for content-addressed keys. A Path is copied."""
        self._objects.put(check_key(key), data)

    def put_if(self, key: str, data: bytes, *, etag: str | None) -> None:
        """Write only if the object is absent (etag None) or unchanged since `etag`; Conflict otherwise.

        An unknown outcome (a lost reply, 412 on one's own retried write) is read back: if the store then holds exactly
        `data`, the put has succeeded. So writers who must tell their own writes from others' put a nonce in the bytes.
        """
        self._objects.put_if(check_key(key), data, etag)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Keys below `prefix` (a folder, or empty), sorted; for people and tests, never for decisions."""
        return self._objects.keys(check_key(prefix.rstrip("/")) if prefix else "")

    def commit(self, prefix: str, files: Mapping[str, bytes | Path], meta: Mapping[str, Json]) -> Digest:
        """Store files as prefix/<digest>/<name>, manifest last; returns the digest of the manifest. Idempotent."""
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
        """What `commit` stored, its manifest verified. NotFound if absent."""
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
    sha256: Digest
    size: int


@dataclass(frozen=True)
class Folder:
    """A committed folder: its manifest is verified, each file is when it is read."""

    store: Store
    prefix: str
    digest: Digest
    meta: dict[str, Json]
    files: dict[str, FileEntry]

    @property
    def where(self) -> str:
        return f"{self.store.uri}/{self.prefix}"

    def require(self, names: Iterable[str]) -> None:
        """StoreError unless the folder has exactly these files."""
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
        return StoreError(f"lacks {name!r}, which its manifest names", where=self.where, hint="redo the step that wrote it")

    def read(self, name: str) -> bytes:
        """The file's bytes, verified in size and digest."""
        entry = self._entry(name)
        try:
            return self.store.get(f"{self.prefix}/{name}", digest=entry.sha256, max_bytes=entry.size)
        except NotFound as error:
            raise self._missing(name) from error

    def read_json(self, name: str) -> Json:
        return parse_json(self.read(name), f"{self.where}/{name}")

    def verify(self) -> None:
        """Read every byte once; StoreError at the first file that isn't what the manifest says."""
        for name in self.files:
            self._stream(name, None)

    def download(self, to: Path, only: Iterable[str] | None = None) -> Path:
        """Copy the files (or `only` these) below folder `to`, each verified before it takes its name; returns `to`."""
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
            with self.store._objects.open(key) as stream:
                while size <= entry.size and (chunk := stream.read(CHUNK)):
                    size += len(chunk)
                    sha.update(chunk)
                    if out is not None:
                        out.write(chunk)
        except NotFound as error:
            raise self._missing(name) from error
        if size != entry.size or sha.hexdigest() != entry.sha256:
            raise _altered(self.store.uri, key, entry.sha256, Digest(sha.hexdigest()))


def _altered(uri: str, key: str, digest: Digest, found: Digest) -> StoreError:
    return StoreError(
        f"holds other bytes than its digest names (sha256 {found[:12]}…, expected {digest[:12]}…)",
        where=f"{uri}/{key}",
        hint="restore it from a copy, or delete it and redo the step that wrote it",
    )
