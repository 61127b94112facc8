"""Base models kept in a store, for clusters without a model hub and pods without the package that carries one.

    models/<name>@<revision>/model.json              which bytes this name means now: digest of a manifest, digest of the base
    models/<name>@<revision>/<manifest digest>/…     config, tokenizer and safetensors, immutable

The pointer is written last and conditionally, so a push that was killed shows nothing, goes on where it stopped, and never
changes what a name means unasked. A reader verifies every byte: 91 MB of MiniLM take a pod about 1 s, 3 GB some 30 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distillery.components.artifacts.model_pointer import MAX_POINTER, ModelPointer
from distillery.components.runtime.progress import Progress, quiet
from distillery.components.store import (
    Digest,
    Folder,
    Json,
    Store,
    StoreError,
    as_digest,
    canonical_json,
    digest_bytes,
    digest_file,
)
from distillery.components.store.layout import MODELS, committed_key, model_folder, model_of_pointer, model_pointer_key
from distillery.components.student.base import SMALL, Base
from distillery.components.student.base_files import (
    CONFIG,
    INDEX,
    TOKENIZER,
    check_tensors,
    parse_config,
    read_header,
    weight_files,
)
from distillery.components.student.memory import Body
from distillery.filters.errors import InputError

DEFAULT_REVISION = "main"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_WEIGHTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Mirrored:
    """A base model in a store.

    Attributes:
        name: a hub id, or the module of a package.
        revision: "main" unless another was asked for.
        base: digest of the model, the same as `Base.digest` of a copy.
        manifest: digest of the manifest that names its files.
        kind: "encoder" or "decoder".
        size: of its files, in bytes.
    """

    name: str
    revision: str
    base: Digest
    manifest: Digest
    kind: str
    size: int

    @property
    def prefix(self) -> str:
        """Return the folder of this model and revision in the store."""
        return model_folder(self.name, self.revision)

    def folder(self, store: Store) -> Folder:
        """Return the model's files, the manifest verified.

        Args:
            store: where the model is mirrored.

        Returns:
            The committed folder.

        Raises:
            StoreError: the store has no such manifest any more.
        """
        try:
            return store.folder(self.prefix, self.manifest)
        except KeyError as error:
            raise StoreError(
                "lacks the manifest that model.json names", where=f"{store.uri}/{self.prefix}", hint="push the model again"
            ) from error


def mirror_name(ref: str) -> str | None:
    """Return the name of a base model in a mirror.

    Args:
        ref: what a filter calls the model.

    Returns:
        A hub id, or the module of a package; None for folders and addresses, which can't be mirrored by name.
    """
    name = ref.removeprefix("package://")
    return name if _NAME.fullmatch(name) else None


def find(store: Store, ref: str, revision: str | None) -> Mirrored | None:
    """Look a base model up in a mirror.

    Args:
        store: the mirror.
        ref: what a filter calls the model.
        revision: None for "main".

    Returns:
        The model; None where the mirror hasn't got it.

    Raises:
        StoreError: its pointer is damaged.
    """
    name = mirror_name(ref)
    # A branch with a slash has no place in a mirror: such a revision is pushed under another name.
    if name is None or not _REVISION.fullmatch(revision or DEFAULT_REVISION):
        return None
    return _read(store, name, revision or DEFAULT_REVISION)


def _read(store: Store, name: str, revision: str) -> Mirrored | None:
    key = model_pointer_key(name, revision)
    present = ModelPointer.versioned(store, key, max_bytes=MAX_POINTER)
    return _mirrored(name, revision, present[0]) if present else None


def _mirrored(name: str, revision: str, pointer: ModelPointer) -> Mirrored:
    base, manifest = as_digest(pointer.base), as_digest(pointer.manifest)
    return Mirrored(name, revision, base, manifest, pointer.kind, pointer.size)


def mirrored(store: Store) -> Iterator[Mirrored]:
    """Yield every base model in a mirror, by name.

    Args:
        store: the mirror.

    Yields:
        The models.
    """
    for key in store.keys(MODELS):
        if (named := model_of_pointer(key)) and (one := _read(store, *named)):
            yield one


def push(
    store: Store, base: Base, name: str, revision: str | None, *, replace: bool = False, progress: Progress = quiet
) -> tuple[Mirrored, bool]:
    """Copy a base model into a mirror. Files that are there already are not sent again.

    Args:
        store: the mirror.
        base: the model on this machine.
        name: what the model is called there.
        revision: None for "main".
        replace: True where the name may mean other bytes from now on.
        progress: told the megabytes sent.

    Returns:
        The mirrored model, and True if anything was written.

    Raises:
        InputError: no mirrored model can have this name, it means other bytes already, or the model's scores would depend on
            what shares a batch.
        Conflict: another process changed the pointer meanwhile.
    """
    revision = revision or DEFAULT_REVISION
    if not _NAME.fullmatch(name) or not _REVISION.fullmatch(revision):
        raise InputError(
            f"{name}@{revision} can't be a model's name in a store", where="--as", hint="use ORG/NAME, and letters"
        )
    files = {path.name: path for path in base.files()}
    entries = {file: {"sha256": digest_file(path), "size": path.stat().st_size} for file, path in files.items()}
    from distillery.components.student.invariance import MEASURED, require_invariance

    require_invariance(base)
    meta: dict[str, Json] = {"base": base.digest, "kind": base.kind, "hidden": base.hidden, "measured": MEASURED}
    manifest = canonical_json({"format": 1, "meta": meta, "files": entries})
    size = sum(path.stat().st_size for path in files.values())
    wanted = Mirrored(name, revision, base.digest, digest_bytes(manifest), base.kind, size)

    key, where = model_pointer_key(name, revision), f"{store.uri}/{wanted.prefix}"
    before = ModelPointer.versioned(store, key, max_bytes=MAX_POINTER)
    known = _mirrored(name, revision, before[0]) if before else None
    if known and known.base != base.digest and not replace:
        raise InputError(
            f"{name}@{revision} means other bytes there (base {known.base[:12]}, yours is {base.digest[:12]})",
            where=where,
            hint="push under another --revision, or say --replace: adapters of the old bytes then no longer load",
        )
    done, sent = 0, False
    for file, path in files.items():
        target = committed_key(wanted.prefix, wanted.manifest, file)
        if not store.exists(target):
            store.put(target, path)
            sent = True
        done += path.stat().st_size
        progress(done // 10**6, size // 10**6, "MB", file=file)
    manifest_key = committed_key(wanted.prefix, wanted.manifest)
    if sent or not store.exists(manifest_key):
        store.put(manifest_key, manifest)
    if known == wanted:
        return wanted, sent
    pointer = ModelPointer(base=wanted.base, manifest=wanted.manifest, kind=wanted.kind, size=size)
    store.put_if(key, canonical_json(pointer.to_json()), etag=before[1] if before else None)
    return wanted, True


def require_complete(store: Store, model: Mirrored) -> Body:
    """Raise unless a mirrored model was measured, its configuration is allowed, and its weights are what that makes.

    No torch, no download: the record of the measurement lies in the manifest.

    Args:
        store: the mirror.
        model: what `find` returned.

    Returns:
        What decides how much memory it takes.

    Raises:
        InputError: as `open_base`.
        StoreError: the mirror lacks a file.
    """
    from distillery.components.student.invariance import MEASURED

    folder = model.folder(store)
    if folder.meta.get("measured") != MEASURED:
        raise InputError(
            "was pushed before its scores were measured, alone against padded",
            where=f"{store.uri}/{model.prefix}",
            hint="push the model again (distillery models push)",
        )
    config, headers = parse_config(folder.read(CONFIG), model.name), {}
    for name in weight_files(folder.files, model.name):
        with store.open(committed_key(model.prefix, model.manifest, name)) as stream:
            headers[name] = read_header(stream, folder.files[name].size, f"{folder.where}/{name}")
    check_tensors(headers, config, model.name)
    return Body(config, folder.files[TOKENIZER].size if TOKENIZER in folder.files else 0)


def download(store: Store, model: Mirrored, to: Path) -> None:
    """Copy a mirrored model to this machine, each file verified before it takes its name.

    Args:
        store: the mirror.
        model: what `find` returned.
        to: a folder that isn't there yet.

    Raises:
        StoreError: the mirror holds a file that no base model needs, or one was altered or removed.
    """
    folder = model.folder(store)
    if strange := sorted(name for name in folder.files if name not in (*SMALL, INDEX) and not _WEIGHTS.fullmatch(name)):
        raise StoreError(f"has {strange[0]!r}, which no base model needs", where=folder.where, hint="push the model again")
    folder.download(to)
