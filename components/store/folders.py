"""Folders that are named by their content: a manifest with the size and sha256 of each file, by whose digest it is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from distillery.components.store.digests import Digest, Json, as_digest, canonical_json, digest_bytes, digest_file
from distillery.components.store.layout import MANIFEST, committed_key
from distillery.components.store.objects import REDO_FOLDER, NotFound, StoreError, altered, check_key, parse_json

if TYPE_CHECKING:
    from distillery.components.store.store import Store

MAX_MANIFEST = 4 * 2**20
CHUNK = 2**20


def manifest_of(files: Mapping[str, bytes | Path], meta: Mapping[str, Json]) -> bytes:
    """Return the manifest of a folder, whose digest names it.

    Args:
        files: bytes, or a file to copy, by name.
        meta: what else the manifest says, as JSON.

    Returns:
        Canonical JSON: a function of files and meta alone.

    Raises:
        ValueError: a file has the manifest's own name.
    """
    entries: dict[str, Json] = {}
    for name, data in files.items():
        if check_key(name) == MANIFEST:
            raise ValueError(f"{MANIFEST} is written by commit itself")
        if isinstance(data, Path):
            entries[name] = {"sha256": digest_file(data), "size": data.stat().st_size}
        else:
            entries[name] = {"sha256": digest_bytes(data), "size": len(data)}
    return canonical_json({"format": 1, "meta": dict(meta), "files": entries})


def read_folder(store: Store, prefix: str, digest: Digest) -> Folder:
    """Return a committed folder, its manifest verified; `Store.folder` is how it is called.

    Args:
        store: where it lies.
        prefix: folder above it.
        digest: of its manifest.

    Returns:
        The folder; no file of it has been read yet.

    Raises:
        NotFound: there is no such folder.
        StoreError: the manifest was altered.
    """
    key = committed_key(prefix, as_digest(digest))
    where = f"{store.uri}/{key}"
    manifest = parse_json(store.get(key, digest=digest, max_bytes=MAX_MANIFEST), where)
    try:
        files = {
            check_key(name): FileEntry(as_digest(entry["sha256"]), int(entry["size"]))
            for name, entry in manifest["files"].items()
        }
        meta = dict(manifest["meta"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"is not a manifest: {error}", where=where) from error
    return Folder(store, f"{prefix}/{digest}", digest, meta, files)


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
            return self.store.get(f"{self.prefix}/{name}", digest=entry.sha256, max_bytes=entry.size, hint=REDO_FOLDER)
        except NotFound as error:
            raise self._missing(name) from error

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
            raise altered(self.store.uri, key, entry.sha256, Digest(sha.hexdigest()), REDO_FOLDER)
